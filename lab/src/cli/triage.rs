// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab triage --console FILE…`: what a console shows, also one that the lab never made.

use crate::error::{Doing, Error, Result};
use lab_core::console::{self, Heard, Options, Reader};
use lab_core::finding::{Finding, Weight};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How many lines of a report are shown.
const EXCERPT_LINES: usize = 24;
/// How many bytes of a report are read to show them.
const EXCERPT_BYTES: u64 = 64 * 1024;
/// How much of a file is held at once.
const CHUNK: usize = 256 * 1024;

/// Read kernel consoles and name the trouble in them
///
/// Each report of the kernel (oops, warning, lock report, hang, stall, …) is shown with the function that matters and where
/// in the file it stands.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Console logs, from any kernel
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub console: Vec<PathBuf>,
    /// One line of JSON for each file
    #[arg(long)]
    pub json: bool,
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
}

/// Where a finding stands in its file, for people.
struct Place {
    first_line: u64,
    last_line: u64,
    lines: Vec<String>,
}

/// Reads the files and gives the text to print. Files are read in pieces; a gigabyte takes no memory.
pub fn run(args: &Args) -> Result<String> {
    let mut out = String::new();
    for path in &args.console {
        let reading = || format!("read the console {}", path.display());
        let (mut file, findings) = hear(path)
            .map_err(|error| Error::usage(error.to_string()).hint("give the path of a console log"))
            .doing(reading)?;
        if args.json {
            out.push_str(&json(path, &findings)?);
        } else {
            let places = places(&mut file, &findings).doing(reading)?;
            text(&mut out, path, &findings, &places);
        }
    }
    Ok(out)
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

fn json(path: &Path, findings: &[Finding]) -> Result<String> {
    let record = Record {
        file: path.display().to_string(),
        findings: findings.iter().map(entry).collect(),
    };
    let line =
        serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))?;
    Ok(line + "\n")
}

fn entry(finding: &Finding) -> Entry<'_> {
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
                lines: excerpt(file, finding)?,
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
fn excerpt(file: &mut File, finding: &Finding) -> std::io::Result<Vec<String>> {
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
    Ok(console::excerpt(&bytes, &here, EXCERPT_LINES))
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
mod tests {
    use super::*;

    const LOG: &str = "[    1.000000] Linux version 6.12.0\n\
        [    5.000000][   T42] BUG: sleeping function called from invalid context at fs/dcache.c:100\n\
        [    5.000001][   T42] Call Trace:\n\
        [    5.000002][   T42]  __might_resched+0x1/0x2\n\
        [    5.000003][   T42]  __d_add\u{1b}[2J+0x1/0x2\n\
        [    5.000004][   T42]  d_splice_alias+0x1/0x2\n";

    fn check(log: &[u8], json: bool) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(log).unwrap();
        let args = Args {
            console: vec![file.path().to_owned()],
            json,
        };
        run(&args)
            .unwrap()
            .replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn people_see_title_place_and_harmless_lines() {
        let shown = check(LOG.as_bytes(), false);
        assert!(!shown.contains('\u{1b}'), "{shown}");
        for wanted in [
            "FILE: 1 finding\n",
            "  BUG: sleeping function called from invalid context in d_splice_alias\n",
            "    function  d_splice_alias\n",
            "    lines     2 to 6\n",
            "__d_add\\u{1b}[2J+0x1/0x2\n",
        ] {
            assert!(shown.contains(wanted), "{wanted:?} in {shown}");
        }
    }

    #[test]
    fn a_pipe_is_read_as_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let there = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(there, LOG).unwrap());
        let args = Args {
            console: vec![path.clone()],
            json: false,
        };
        let shown = run(&args).unwrap();
        writer.join().unwrap();
        let shown = shown.replace(&path.display().to_string(), "FILE");
        assert_eq!(shown, check(LOG.as_bytes(), false));
    }

    #[test]
    fn machines_get_one_line() {
        let line = check(LOG.as_bytes(), true);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let finding = &value["findings"][0];
        assert_eq!(
            (line.matches('\n').count(), &value["file"]),
            (1, &"FILE".into())
        );
        assert_eq!(finding["class"], "atomic-sleep");
        assert_eq!(finding["function"], "d_splice_alias");
        assert_eq!(finding["start"], LOG.find('\n').unwrap() + 1);
        assert_eq!(finding["end"], LOG.len());
        assert_eq!(check(b"", true), "{\"file\":\"FILE\",\"findings\":[]}\n");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let args = Args {
            console: vec!["no/such/console.log".into()],
            json: false,
        };
        let error = run(&args).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
        assert!(
            error
                .to_string()
                .contains("failed to read the console no/such/console.log")
        );
    }

    #[test]
    fn lines_are_counted_across_pieces() {
        let mut log = vec![b'\n'; CHUNK + 10];
        log.extend_from_slice(
            b"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300\n",
        );
        let shown = check(&log, false);
        let line = CHUNK + 11;
        assert!(
            shown.contains(&format!("lines     {line} to {line}")),
            "{shown}"
        );
    }
}
