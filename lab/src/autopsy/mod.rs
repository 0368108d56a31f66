// SPDX-License-Identifier: MIT OR Apache-2.0
//! The autopsy room: from the dumps of a boot to what they show. The scripts (Python, with drgn) read a dump; what
//! follows from their answer is `lab_core::autopsy`'s.
//!
//! On the shelf, in the run's folder: `autopsy.json`, `autopsy.txt` and `autopsy.svg` of the failure's dump; `audit.json`
//! of those at the ends of scenarios. Nothing here fails a boot: what is missing is a remark, and the rest stays whole.

mod again;
mod python;
mod scripts;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;
pub(crate) mod unpack;
mod work;

pub(crate) use again::audits;
pub use again::{Again, again, lines, load, stored};
pub use python::Python;

use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use crate::store::file;
use lab_core::autopsy::{
    AUDITS_FORMAT, Audits, Autopsy, ScenarioAudit, core_build_id, svg, text, vmlinux_build_id,
};
use lab_core::job::{BootJob, DumpPolicy, DumpRecord, Recording};
use memmap2::Mmap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use work::{Subject, Tools};

/// The autopsy of a failure's dump.
pub const AUTOPSY_JSON: &str = "autopsy.json";
/// The same for people.
pub const AUTOPSY_TXT: &str = "autopsy.txt";
/// Its wait graph.
pub const AUTOPSY_SVG: &str = "autopsy.svg";
/// The audits at the ends of scenarios.
pub const AUDIT_JSON: &str = "audit.json";

/// Looks at all dumps that a boot left in `out`, and puts what they show beside them. Cores of audits that found nothing
/// are removed. Gives remarks for people: each thing that is missing or failed is one of them.
///
/// # Errors
/// None but a fault of the lab: whatever is missing or goes wrong is a remark.
pub async fn examine(
    job: &BootJob,
    out: &Path,
    recording: &Recording,
    stop: Stop,
) -> Result<Vec<String>> {
    // A boot that is made again must not be told by what an earlier one left.
    for name in [AUTOPSY_JSON, AUTOPSY_TXT, AUTOPSY_SVG, AUDIT_JSON] {
        let _ = fs::remove_file(out.join(name));
    }
    unpack::sweep(out);
    if recording.dumps.is_empty() {
        return Ok(Vec::new());
    }
    if stop.level() > Level::Run {
        let stopped =
            "the dumps were not looked at: the lab was stopped (`lab autopsy RUN` does it)";
        return Ok(vec![stopped.to_owned()]);
    }
    Ok(match Tools::find(&job.cache, stop).await {
        Ok(tools) => examine_with(&tools, job, out, recording).await,
        Err(error) => vec![remark("the dumps were not looked at", &error)],
    })
}

async fn examine_with(
    tools: &Tools,
    job: &BootJob,
    out: &Path,
    recording: &Recording,
) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut audits = Audits {
        format: AUDITS_FORMAT,
        audits: Vec::new(),
    };
    for dump in &recording.dumps {
        let file = &dump.file;
        let result = match dump.scenario {
            Some(scenario) => match audit(tools, job, out, dump, scenario).await {
                Ok((audit, told)) => {
                    audits.audits.push(audit);
                    Ok(told)
                }
                Err(error) => Err(error),
            },
            None => autopsy(tools, job, out, dump).await.map(|(_, told)| told),
        };
        match result {
            Ok(told) => remarks.extend(told),
            Err(error) => remarks.push(remark(&format!("no autopsy of {file}"), &error)),
        }
    }
    if !audits.audits.is_empty()
        && let Err(error) = file::write_json(&out.join(AUDIT_JSON), &audits)
    {
        remarks.push(remark("the audits are lost", &error));
    }
    remarks
}

/// An error as one line: what, why, and what to try.
fn remark(what: &str, error: &Error) -> String {
    let hint = error
        .hint_text()
        .map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{what}: {error}{hint}").replace('\n', " ")
}

/// Audits the dump of a scenario's end, and removes it if all is well in it.
async fn audit(
    tools: &Tools,
    job: &BootJob,
    out: &Path,
    dump: &DumpRecord,
    scenario: u32,
) -> Result<(ScenarioAudit, Vec<String>)> {
    let (autopsy, mut remarks) = look(tools, job, out, dump, true).await?;
    let found = ScenarioAudit::of(scenario, &dump.file, autopsy);
    let mut audit = found.ok_or_else(|| Error::rig("the scripts made no audit of it"))?;
    audit.kept = !audit.audit.violations.is_empty() && job.evidence.dump != DumpPolicy::None;
    if !audit.kept {
        let path = out.join(&dump.file);
        let removed = fs::remove_file(&path).doing(|| format!("remove {}", path.display()));
        remarks.extend(
            removed
                .err()
                .map(|e| remark("a dump that is not needed stays", &e)),
        );
    }
    Ok((audit, remarks))
}

/// The whole autopsy of one dump, with its files.
async fn autopsy(
    tools: &Tools,
    job: &BootJob,
    out: &Path,
    dump: &DumpRecord,
) -> Result<(Autopsy, Vec<String>)> {
    let (autopsy, remarks) = look(tools, job, out, dump, false).await?;
    write(out, &autopsy)?;
    Ok((autopsy, remarks))
}

/// Writes an autopsy and what is derived from it.
fn write(out: &Path, autopsy: &Autopsy) -> Result<()> {
    file::write_json(&out.join(AUTOPSY_JSON), autopsy)?;
    file::write(&out.join(AUTOPSY_TXT), text(autopsy).as_bytes())?;
    file::write(&out.join(AUTOPSY_SVG), svg(autopsy).as_bytes())
}

/// What the scripts say of a dump, with remarks.
async fn look(
    tools: &Tools,
    job: &BootJob,
    out: &Path,
    dump: &DumpRecord,
    only_audit: bool,
) -> Result<(Autopsy, Vec<String>)> {
    let vmlinux = vmlinux(job)?;
    let (from, folder) = (out.join(&dump.file), out.to_owned());
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(&from, &folder));
    let core = unpacking
        .await
        .map_err(|error| Error::internal(error.to_string()))??;
    let mut remarks = Vec::new();
    let cut = cut(dump, &core);
    check_identity(core.path(), &vmlinux)?;
    let subject = Subject {
        core: core.path(),
        vmlinux: &vmlinux,
        only_audit,
    };
    let told = tools.look(subject, out).await;
    let mut autopsy = told.map_err(|error| match &cut {
        Some(cut) => Error::rig(format!("{error}; {cut}"))
            .hint("a larger `limits.dump_mib` in the profile keeps more"),
        None => error,
    })?;
    if let Some(cut) = cut {
        // In half a memory any rule may look broken.
        autopsy.audit = None;
        autopsy.warnings.push(format!(
            "{cut}: there is no audit, and other things may be missing"
        ));
        remarks.push(format!("{}: {cut}", dump.file));
    }
    Ok((autopsy, remarks))
}

/// Says so if a dump is not all there.
fn cut(dump: &DumpRecord, core: &unpack::Core) -> Option<String> {
    let mib = |bytes: u64| bytes >> 20;
    let got = fs::metadata(core.path()).map_or(0, |metadata| metadata.len());
    match &core.cut {
        Some(why) => Some(format!(
            "the dump was cut short after {} MiB ({why})",
            mib(got)
        )),
        None if !dump.whole => Some(format!("the dump was cut short after {} MiB", mib(got))),
        None => None,
    }
}

/// The vmlinux beside the kernel that was booted.
pub(crate) fn vmlinux(job: &BootJob) -> Result<PathBuf> {
    let path = job.kernel.join("vmlinux");
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::rig(format!("the kernel's vmlinux is not there: {}", path.display()))
            .hint("it was cleaned from the cache; once that kernel is built again, `lab autopsy RUN` makes the autopsy")),
    }
}

/// Refuses a vmlinux of another build than the dumped kernel. A core that does not tell its build is let through: the
/// scripts look again.
fn check_identity(core: &Path, vmlinux: &Path) -> Result<()> {
    let of = |path: &Path, id: fn(&[u8]) -> Option<String>| -> Result<Option<String>> {
        let file = File::open(path).doing(|| format!("read {}", path.display()))?;
        // SAFETY: the core is this process's own, and a kernel of the cache is replaced by rename, never changed.
        let map = unsafe { Mmap::map(&file) }.doing(|| format!("map {}", path.display()))?;
        Ok(id(&map))
    };
    match (of(core, core_build_id)?, of(vmlinux, vmlinux_build_id)?) {
        (Some(core), Some(built)) if core != built => Err(Error::rig(format!(
            "the dump is of the kernel with build id {core}, {} has {built}",
            vmlinux.display()
        ))
        .hint("build that kernel again, then `lab autopsy RUN`")),
        _ => Ok(()),
    }
}
