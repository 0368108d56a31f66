// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab triage --console FILE…`: what a console shows, also one that the lab never made. `lab triage SET`: a stored set
//! read again.

use crate::error::{Doing, Error, Result};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::store::Set;
use crate::symbols::{self, Mapped};
use crate::{report, triage};
use lab_core::console::{self, Heard, Options, Reader};
use lab_core::finding::{Finding, Weight};
use lab_core::symbol::{Frame, Resolver, Vmlinux};
use lab_core::text::harmless_json;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How many lines of a report are shown.
const EXCERPT_LINES: usize = 24;
/// How many of them are looked at for frames.
const DECODED_LINES: usize = 400;
/// How many bytes of a report are read to show them.
const EXCERPT_BYTES: u64 = 64 * 1024;
/// How much of a file is held at once.
const CHUNK: usize = 256 * 1024;

/// Read kernel consoles, or a stored set again, and name the trouble in them
///
/// Each report of the kernel (oops, warning, lock report, hang, stall, …) is shown with the function that matters and where
/// in the file it stands.
///
/// With SET, the findings, the ledger and the verdict of a result set are derived again from its raw record; nothing is
/// built or booted. It says what changed, and exits as `lab run` did.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A result set to derive again: its name, a unique beginning of it, or its folder
    #[arg(required_unless_present = "console", conflicts_with = "console")]
    pub set: Option<String>,
    /// Console logs, from any kernel
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub console: Vec<PathBuf>,
    /// The vmlinux of the kernel that printed the consoles: frames are told by file and line
    #[arg(long, requires = "console", value_name = "FILE")]
    pub vmlinux: Option<PathBuf>,
    /// Folder of results
    #[arg(long, value_name = "DIR", conflicts_with = "console")]
    pub results: Option<PathBuf>,
    /// One line of JSON for each file; with SET, what changed and the verdict
    #[arg(long)]
    pub json: bool,
}

/// What is to be printed, and how the process ends.
#[derive(Debug)]
pub struct Said {
    /// The text.
    pub text: String,
    /// The exit code: for a set, its verdict's.
    pub exit: Exit,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Record<'a> {
    file: String,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    class: String,
    title: &'a str,
    function: Option<&'a str>,
    alt: &'a [String],
    signature: &'a str,
    weight: Weight,
    torn: bool,
    after_first: bool,
    start: u64,
    end: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Vec<Frame>>,
}

/// Where a finding stands in its file, for people.
struct Place {
    first_line: u64,
    last_line: u64,
    lines: Vec<String>,
}

/// Does what is asked and gives the text to print.
pub fn run(args: &Args) -> Result<Said> {
    match &args.set {
        Some(name) => stored(args, name),
        None => Ok(Said {
            text: consoles(args)?,
            exit: Exit::Good,
        }),
    }
}

/// A set read again.
fn stored(args: &Args, name: &str) -> Result<Said> {
    let results = Settings::load()?.results_folder(args.results.as_deref())?;
    let set = Set::resume(&results, name)?;
    let done = triage::triage(&set)?;
    let verdict = done.verdict.as_ref();
    let exit = verdict.map_or(Exit::CannotTell, super::run::exit);
    let text = match (args.json, verdict) {
        (true, _) => report::json(&done)?,
        (false, Some(verdict)) => {
            format!(
                "{}\n{}",
                triage::text(&done),
                report::verdict(&set, verdict)?
            )
        }
        (false, None) => format!(
            "{}\nno verdict yet: `lab run --resume {}` goes on\n",
            triage::text(&done),
            done.set
        ),
    };
    Ok(Said { text, exit })
}

/// Files are read in pieces; a gigabyte takes no memory.
fn consoles(args: &Args) -> Result<String> {
    let mapped = args.vmlinux.as_deref().map(Mapped::open).transpose();
    let mapped = mapped.map_err(|error| Error::usage(error.to_string()))?;
    let vmlinux = mapped.as_ref().map(Mapped::vmlinux).transpose()?;
    let resolver = vmlinux.as_ref().map(Vmlinux::resolver);
    let mut out = String::new();
    for path in &args.console {
        let reading = || format!("read the console {}", path.display());
        let (mut file, findings) = hear(path)
            .map_err(|error| Error::usage(error.to_string()).hint("give the path of a console log"))
            .doing(reading)?;
        if let Some(vmlinux) = &vmlinux {
            symbols::same_kernel(vmlinux, &head(&mut file).doing(reading)?).doing(reading)?;
        }
        if args.json {
            let frames = frames(&mut file, &findings, resolver.as_ref()).doing(reading)?;
            out.push_str(&json(path, &findings, frames)?);
        } else {
            let mut places = places(&mut file, &findings).doing(reading)?;
            if let Some(resolver) = &resolver {
                places.iter_mut().for_each(|place| place.decode(resolver));
            }
            text(&mut out, path, &findings, &places);
        }
    }
    Ok(out)
}

/// The beginning of a file, where a kernel tells its version.
fn head(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(CHUNK as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The frames of each finding, innermost first, without those that an earlier call may have left; nothing without a
/// vmlinux.
fn frames(
    file: &mut File,
    findings: &[Finding],
    resolver: Option<&Resolver<'_>>,
) -> std::io::Result<Vec<Option<Vec<Frame>>>> {
    let Some(resolver) = resolver else {
        return Ok(vec![None; findings.len()]);
    };
    let mut all = Vec::new();
    for finding in findings {
        let lines = excerpt(file, finding, DECODED_LINES)?;
        let (decoded, _) = symbols::decode_lines(&lines, resolver);
        let frames = decoded.iter().flat_map(|line| line.frames().cloned());
        all.push(Some(frames.collect()));
    }
    Ok(all)
}

impl Place {
    /// Puts file and line behind each frame, and says which functions are not the vmlinux's.
    fn decode(&mut self, resolver: &Resolver<'_>) {
        let (decoded, lines) = symbols::decode_lines(&self.lines, resolver);
        self.lines = lines;
        let strange = symbols::misfits(decoded.iter());
        if !strange.is_empty() {
            self.lines.push(format!(
                "of other sizes in this vmlinux, is it this kernel's? {}",
                strange.join(", ")
            ));
        }
    }
}

/// All findings of a file, and the file to show them from. What cannot be read twice (a pipe, as the shell's `<(zcat LOG)`)
/// is kept in a temporary file while it is heard.
fn hear(path: &Path) -> std::io::Result<(File, Vec<Finding>)> {
    let mut file = File::open(path)?;
    if file.stream_position().is_ok() {
        let findings = listen(&mut file, None)?;
        return Ok((file, findings));
    }
    let mut kept = tempfile::tempfile()?;
    let findings = listen(&mut file, Some(&mut kept))?;
    Ok((kept, findings))
}

/// All findings of a file, in the order of their first bytes; what is read is also written to `keep`.
fn listen(file: &mut File, mut keep: Option<&mut File>) -> std::io::Result<Vec<Finding>> {
    let mut reader = Reader::new(Options::default());
    let mut findings = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = read_some(file, &mut chunk)?;
        if len == 0 {
            break;
        }
        if let Some(keep) = keep.as_deref_mut() {
            keep.write_all(&chunk[..len])?;
        }
        for heard in reader.push(&chunk[..len]) {
            if let Heard::Complete(finding) = heard {
                findings.push(finding);
            }
        }
    }
    findings.extend(reader.finish());
    findings.sort_by_key(|finding| (finding.start, finding.end));
    Ok(findings)
}

fn read_some(file: &mut File, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn json(path: &Path, findings: &[Finding], frames: Vec<Option<Vec<Frame>>>) -> Result<String> {
    let entries = findings.iter().zip(frames);
    let record = Record {
        file: path.display().to_string(),
        findings: entries.map(|(f, frames)| entry(f, frames)).collect(),
    };
    let line =
        serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))?;
    Ok(harmless_json(&line) + "\n")
}

fn entry(finding: &Finding, frames: Option<Vec<Frame>>) -> Entry<'_> {
    Entry {
        class: finding.class.name(),
        title: &finding.title,
        function: finding.function.as_deref(),
        alt: &finding.alt,
        signature: &finding.signature,
        weight: finding.weight,
        torn: finding.torn,
        after_first: finding.after_first,
        start: finding.start,
        end: finding.end,
        frames,
    }
}

/// Line numbers and excerpts, in a second pass that is made only when there is something to show.
fn places(file: &mut File, findings: &[Finding]) -> std::io::Result<Vec<Place>> {
    let mut marks: Vec<u64> = findings
        .iter()
        .flat_map(|finding| [finding.start, finding.end.saturating_sub(1)])
        .collect();
    marks.sort_unstable();
    marks.dedup();
    let lines = line_numbers(file, &marks)?;
    let line_of = |offset: u64| marks.binary_search(&offset).map_or(0, |at| lines[at]);
    findings
        .iter()
        .map(|finding| {
            Ok(Place {
                first_line: line_of(finding.start),
                last_line: line_of(finding.end.saturating_sub(1)),
                lines: excerpt(file, finding, EXCERPT_LINES)?,
            })
        })
        .collect()
}

/// The line, counted from one, in which each offset (in order) stands.
fn line_numbers(file: &mut File, offsets: &[u64]) -> std::io::Result<Vec<u64>> {
    let mut lines = Vec::with_capacity(offsets.len());
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut line) = (0_u64, 1_u64);
    file.seek(SeekFrom::Start(0))?;
    while lines.len() < offsets.len() {
        let len = read_some(file, &mut chunk)?;
        let end = at + len as u64;
        let mut counted = 0;
        while let Some(offset) = offsets
            .get(lines.len())
            .filter(|offset| **offset < end || len == 0)
        {
            let upto = (offset.saturating_sub(at) as usize).clamp(counted, len);
            line += newlines(&chunk[counted..upto]);
            counted = upto;
            lines.push(line);
        }
        line += newlines(&chunk[counted..len]);
        at = end;
    }
    Ok(lines)
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A report's first lines, made harmless; only they are read.
fn excerpt(file: &mut File, finding: &Finding, most: usize) -> std::io::Result<Vec<String>> {
    file.seek(SeekFrom::Start(finding.start))?;
    let mut bytes = Vec::new();
    let wanted = finding.end.saturating_sub(finding.start);
    file.take(wanted.min(EXCERPT_BYTES))
        .read_to_end(&mut bytes)?;
    let here = Finding {
        start: 0,
        end: bytes.len() as u64,
        ..finding.clone()
    };
    Ok(console::excerpt(&bytes, &here, most))
}

fn text(out: &mut String, path: &Path, findings: &[Finding], places: &[Place]) {
    let name = console::printable(path.display().to_string().as_bytes());
    let count = match findings.len() {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name}: {count}");
    for (finding, place) in findings.iter().zip(places) {
        let _ = writeln!(out, "\n  {}", finding.title);
        let _ = writeln!(out, "    {}{}", finding.class, remarks(finding));
        if let Some(function) = &finding.function {
            let _ = writeln!(out, "    function  {function}");
        }
        let _ = writeln!(
            out,
            "    lines     {} to {}",
            place.first_line, place.last_line
        );
        for line in &place.lines {
            let _ = writeln!(out, "    | {line}");
        }
    }
}

fn remarks(finding: &Finding) -> String {
    let mut remarks = String::new();
    if finding.weight == Weight::Suspicion {
        remarks.push_str(", a suspicion by itself");
    }
    if finding.torn {
        remarks.push_str(", torn");
    }
    if finding.after_first {
        remarks.push_str(", after an earlier report of the same boot");
    }
    remarks
}

#[cfg(test)]
mod tests;
