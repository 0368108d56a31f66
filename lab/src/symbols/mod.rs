// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a finding's frames to the series' source: opens the kernel's vmlinux and the series' tree, and keeps what they
//! tell as `decoded.txt` in the run's folder.

mod stored;
mod tree;
mod vmlinux;

pub use vmlinux::Mapped;

use crate::error::{Doing, Error, Result};
use crate::listen;
use crate::store::{Manifest, file};
use lab_core::console;
use lab_core::finding::Finding;
use lab_core::job::{BootJob, Recording};
use lab_core::symbol::{Decoded, Out, Resolver, Sources, Vmlinux, decode, render};
use lab_wire::{Event, FromGuest};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use stored::Excerpt;

/// Lines of one finding that are decoded at most; the rest of its report is in the console.
const LINES: usize = 400;
/// Findings of one run that are decoded at most, one of each signature.
const FINDINGS: usize = 24;
/// How far into a console its banner is looked for, bytes.
const BANNER_WITHIN: u64 = 256 * 1024;

/// Decodes what a boot's findings show of its console, and what its agent told of stuck threads: file and line of each
/// frame, inlined frames, the source, and which patch of the series changed it. `set` is the boot's set, if it has one,
/// and `patch` the patch its kernel ends with (0: the base). Writes `decoded.txt`, or takes an old one away where there
/// is nothing to decode.
///
/// # Errors
/// When the vmlinux is gone, or is not the kernel that printed this console; when the folder cannot be read or written.
/// None of it changes a finding: whoever calls this says so and goes on.
pub fn decode_run(set: Option<&Manifest>, patch: u32, folder: &Path, job: &BootJob) -> Result<()> {
    let Some(recording) = file::read_json::<Recording>(&folder.join("recording.json"))? else {
        return Ok(());
    };
    let findings = listen::findings(folder, job, &recording)?.findings;
    let reports = reports(folder, &findings)?;
    if reports.is_empty() {
        return stored::write(folder, "", &[]);
    }
    let mapped = Mapped::open(&job.kernel.join("vmlinux"))?;
    let vmlinux = mapped.vmlinux()?;
    let console = folder.join("console.log");
    same_kernel(&vmlinux, &head_of(&console)?).doing(|| {
        format!(
            "decode {} with {}",
            console.display(),
            mapped.path().display()
        )
    })?;
    let resolver = vmlinux.resolver();
    let decoded: Vec<(&Finding, Vec<Decoded>)> = (reports.iter())
        .map(|(finding, lines)| (*finding, decode(lines, &resolver)))
        .filter(|(_, decoded)| decoded.iter().any(|line| !line.places.is_empty()))
        .collect();
    let sources = match set {
        Some(set) => {
            let all = decoded.iter().flat_map(|(_, lines)| lines);
            tree::sources(set, patch, &files(all))?
        }
        None => Sources::new(),
    };
    let excerpts: Vec<Excerpt> = (decoded.iter())
        .map(|(finding, lines)| Excerpt::new(finding, render(lines, &sources)))
        .collect();
    let about = about(set, patch, &vmlinux, decoded.iter().flat_map(|(_, l)| l));
    stored::write(folder, &about, &excerpts)
}

/// The findings to decode with their lines, one of each signature.
fn reports<'f>(folder: &Path, findings: &'f [Finding]) -> Result<Vec<(&'f Finding, Vec<String>)>> {
    let mut seen = BTreeSet::new();
    let events = listen::guest_events(folder)?;
    let mut reports = Vec::new();
    for finding in findings {
        if reports.len() == FINDINGS {
            break;
        }
        if !seen.insert((&finding.signature, finding.end > 0)) {
            continue;
        }
        let lines = if finding.end > 0 {
            listen::excerpt(folder, finding, LINES)?
        } else {
            stuck_lines(&events, finding)
        };
        if !lines.is_empty() {
            reports.push((finding, lines));
        }
    }
    Ok(reports)
}

/// The agent's words on a thread that never stopped, as lines of a report.
fn stuck_lines(events: &[FromGuest], finding: &Finding) -> Vec<String> {
    let printable = |text: &str| console::printable(text.as_bytes());
    for event in events {
        if let Event::Stuck {
            comm,
            tid,
            op,
            stack,
            ..
        } = &event.event
            && console::hung(comm, *tid, stack).is_some_and(|f| f.signature == finding.signature)
        {
            let head = format!("{comm}:{tid} never came back from: {op}");
            let frames = stack.iter().map(|frame| format!(" {}", printable(frame)));
            return std::iter::once(printable(&head)).chain(frames).collect();
        }
    }
    Vec::new()
}

fn files<'d>(lines: impl Iterator<Item = &'d Decoded>) -> BTreeSet<String> {
    let places = lines.flat_map(|line| &line.places);
    let frames = places.flat_map(|(_, resolved)| &resolved.frames);
    frames.filter_map(|frame| frame.file.clone()).collect()
}

/// The first lines of `decoded.txt`.
fn about<'d>(
    set: Option<&Manifest>,
    patch: u32,
    vmlinux: &Vmlinux<'_>,
    lines: impl Iterator<Item = &'d Decoded>,
) -> String {
    let commit = set.map(|set| match patch.checked_sub(1) {
        Some(index) => {
            let commit = set.patches.get(index as usize).map(|p| p.commit.as_str());
            format!("patch {patch}, commit {}", commit.unwrap_or("unknown"))
        }
        None => format!("the base, commit {}", set.base_commit),
    });
    let source = commit.unwrap_or_else(|| "a tree that is not known".to_owned());
    let id = vmlinux.build_id().unwrap_or_else(|| "none".to_owned());
    let mut text = format!("source: {source}\nvmlinux: build id {id}\n");
    let strange = misfits(lines);
    if !strange.is_empty() {
        text += &format!(
            "of other sizes in that vmlinux, so their lines may be wrong: {}\n",
            strange.join(", ")
        );
    }
    text
}

/// Functions whose printed size is not that of the vmlinux.
pub fn misfits<'d>(lines: impl Iterator<Item = &'d Decoded>) -> Vec<String> {
    let places = lines.flat_map(|line| &line.places);
    let strange: BTreeSet<String> = places
        .filter(|(_, resolved)| !resolved.fits)
        .map(|(spot, _)| spot.symbol.clone())
        .collect();
    strange.into_iter().collect()
}

/// The first part of a console, where its banner is; empty where there is none.
fn head_of(console: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    match std::fs::File::open(console) {
        Ok(file) => {
            let read = file.take(BANNER_WITHIN).read_to_end(&mut head);
            read.doing(|| format!("read {}", console.display()))?;
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).doing(|| format!("read {}", console.display())),
    }
    Ok(head)
}

/// Refuses a vmlinux whose banner is not the one at the head of a console. A console without a banner may be anybody's.
///
/// # Errors
/// When both have a banner and they differ.
pub fn same_kernel(vmlinux: &Vmlinux<'_>, head: &[u8]) -> Result<()> {
    const BANNER: &str = "Linux version ";
    let text = String::from_utf8_lossy(head);
    let printed = text
        .lines()
        .find_map(|line| Some(&line[line.find(BANNER)?..]));
    match (vmlinux.banner(), printed) {
        (Some(own), Some(printed)) if own.trim_end() != printed.trim_end() => {
            let printed = console::printable(printed.as_bytes());
            let own = console::printable(own.as_bytes());
            Err(Error::usage(format!(
                "that vmlinux is «{own}», the console is of «{printed}»"
            ))
            .hint("give the vmlinux of the kernel that was booted"))
        }
        _ => Ok(()),
    }
}

/// Decodes lines of a report without a tree: file and line, inlined frames.
pub fn decode_lines(lines: &[String], kernel: &Resolver<'_>) -> (Vec<Decoded>, Vec<String>) {
    let decoded = decode(lines, kernel);
    let text = render(&decoded, &Sources::new());
    (
        decoded,
        text.iter().map(|out| out.text().to_owned()).collect(),
    )
}

/// How much of the source is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The line of source of each frame.
    All,
    /// Only those of frames that the series touches.
    Touched,
}

/// Lines to show of a finding: decoded where that was done, else as its console has them. `most` counts lines of the
/// console.
///
/// # Errors
/// When the console cannot be read.
pub fn excerpt(
    folder: &Path,
    finding: &Finding,
    most: usize,
    detail: Detail,
) -> Result<Vec<String>> {
    let stored = stored::read(folder).into_iter().find(|e| e.is_of(finding));
    let Some(mut stored) = stored else {
        // A finding of the agent has no place in the console.
        return match finding.end {
            0 => Ok(Vec::new()),
            _ => listen::excerpt(folder, finding, most),
        };
    };
    let is_console = |out: &Out| matches!(out, Out::Console(_));
    let all = stored.lines.iter().filter(|out| is_console(out)).count();
    if all > most {
        let mut left = most;
        let end = stored.lines.iter().position(|out| {
            let cut = is_console(out) && left == 0;
            left -= usize::from(is_console(out) && !cut);
            cut
        });
        let end = end.unwrap_or(stored.lines.len());
        // Frames inlined into the first line that is left out stand above it.
        let kept = &stored.lines[..end];
        let last = kept.iter().rposition(is_console).unwrap_or(0);
        let sources = kept[last + 1..].iter();
        let own = sources
            .take_while(|out| matches!(out, Out::Source(_)))
            .count();
        stored.lines.truncate(last + 1 + own);
    }
    let mut lines: Vec<String> = Vec::new();
    let mut touched = false;
    for out in &stored.lines {
        if matches!(out, Out::Source(_)) && detail == Detail::Touched && !touched {
            continue;
        }
        touched = out.is_marked();
        lines.push(out.text().to_owned());
    }
    if all > most {
        lines.push(format!("… {} more lines", all - most));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
