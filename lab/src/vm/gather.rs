// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver's hands for evidence: asks QEMU, the console and the agent, and stores what they give.

use super::driver::Driver;
use super::dump::{self, Dump, Stored};
use super::qmp;
use lab_core::boot::{Event, Evidence, Purpose};
use lab_core::job::DumpRecord;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What is kept of all that the agent tells of /proc, bytes.
const STATE_BYTES: u64 = 2 << 20;

/// What evidence there is of a boot, and the way to more.
#[derive(Debug)]
pub(super) struct Taken {
    /// The lab's end of the pipe for dumps.
    pipe: Option<OwnedFd>,
    /// QEMU's end, by its number there.
    number: i32,
    /// At most this for a dump, MiB.
    dump_mib: u32,
    /// The one on its way.
    pub(super) dump: Option<Dump>,
    /// Those that are there.
    pub(super) dumps: Vec<DumpRecord>,
}

impl Taken {
    /// Nothing yet, and a pipe of which QEMU inherits the end of that number.
    pub(super) fn new(pipe: OwnedFd, number: i32, dump_mib: u32) -> Self {
        Self {
            pipe: Some(pipe),
            number,
            dump_mib,
            dump: None,
            dumps: Vec::new(),
        }
    }

    fn begin(&mut self, purpose: Purpose, folder: &Path) -> Result<Vec<u8>, String> {
        let limit = dump::room(folder, self.dump_mib)?;
        let pipe = self.pipe.take();
        let pipe = pipe.ok_or("no dump: one before it was given up")?;
        let dump = Dump::begin(purpose, folder, pipe, limit);
        self.dump = Some(dump.map_err(|error| format!("no dump: {error}"))?);
        Ok(qmp::dump("dump", self.number))
    }
}

/// Waits for a dump that is on its way.
pub(super) async fn stored(dump: &mut Option<Dump>) -> Stored {
    match dump {
        Some(dump) => dump.stored().await,
        None => std::future::pending().await,
    }
}

/// Removes what an earlier boot left in the folder, so that nobody takes it for this one's.
pub(super) fn clear(folder: &Path) -> std::io::Result<()> {
    const OURS: &[&str] = &["registers.txt", "state.txt", crate::evidence::VMCORE];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let dump = name.trim_start_matches('.');
        let dump = dump.starts_with("audit") || dump.starts_with("vmcore.zst");
        if OURS.contains(&&*name) || dump || name.starts_with("autopsy.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Driver<'_> {
    pub(super) async fn gather(&mut self, evidence: Evidence) {
        let command = match &evidence {
            Evidence::Registers => Ok(qmp::registers("registers")),
            Evidence::Resume => Ok(qmp::resume()),
            Evidence::SysRq(key) => Ok(qmp::serial_break(&format!("sysrq-{key}"))),
            Evidence::Dump(purpose) => self.taken.begin(purpose.clone(), &self.out),
            Evidence::State => Err("the agent tells its state itself".to_owned()),
        };
        let trouble = match command {
            Ok(command) if self.channels.qmp.send(&command).await => return,
            // A QEMU that is gone is told of elsewhere, and resumes nothing.
            Ok(_) if evidence == Evidence::Resume => None,
            Ok(_) => Some("QEMU's monitor does not listen".to_owned()),
            Err(why) => Some(why),
        };
        self.give_up(&evidence);
        self.pending.push(Event::Gathered { evidence, trouble });
    }

    pub(super) fn give_up(&mut self, evidence: &Evidence) {
        if let (Evidence::Dump(_), Some(dump)) = (evidence, &mut self.taken.dump) {
            dump.give_up();
        }
    }

    pub(super) async fn answered(&mut self, id: &str, result: Result<String, String>) {
        let key = id.strip_prefix("sysrq-").and_then(|key| key.chars().next());
        let evidence = match (id, key) {
            ("registers", _) => Evidence::Registers,
            (_, Some(key)) => Evidence::SysRq(key),
            ("dump", _) => {
                // It is there when the thread has stored it.
                if let Some(dump) = &mut self.taken.dump {
                    dump.answered(result);
                }
                return;
            }
            _ => return,
        };
        let trouble = result.as_ref().err();
        let trouble = trouble.map(|error| format!("QEMU gave no {id}: {error}"));
        match (result, &evidence) {
            (Ok(text), Evidence::Registers) => self.append("registers.txt", &text, u64::MAX),
            (Ok(_), Evidence::SysRq(key)) => {
                let mut bytes = [0; 4];
                let key = key.encode_utf8(&mut bytes).as_bytes();
                self.channels.console.send(key).await;
            }
            _ => {}
        }
        self.tell(Event::Gathered { evidence, trouble }).await;
    }

    /// A dump is stored, or cannot be.
    pub(super) async fn dumped(&mut self, stored: Stored) {
        let Some(dump) = self.taken.dump.take() else {
            return;
        };
        let (record, trouble) = dump.record(&stored);
        self.taken.pipe = stored.pipe;
        if let Some(record) = record {
            self.remark(format!(
                "{}: {} MiB of the guest's memory in {:.1} MiB, {:.1} s",
                record.file,
                record.bytes >> 20,
                record.stored as f64 / f64::from(1 << 20),
                record.seconds
            ));
            // A later dump of a failure took the place of the one before.
            self.taken.dumps.retain(|other| other.file != record.file);
            self.taken.dumps.push(record);
        }
        let evidence = Evidence::Dump(dump.purpose);
        self.tell(Event::Gathered { evidence, trouble }).await;
    }

    /// Keeps what the agent tells of a file in /proc.
    pub(super) fn keep_state(&mut self, t_ms: u64, path: &str, text: &str) {
        let seconds = t_ms as f64 / 1e3;
        let text = format!("== {path}, {seconds:.3} s after the guest's boot\n{text}\n");
        self.append("state.txt", &text, STATE_BYTES);
    }

    /// Adds to a file of evidence, unless it holds more than `most` already.
    fn append(&mut self, name: &str, text: &str, most: u64) {
        let add = || {
            let path = self.out.join(name);
            let mut file = File::options().create(true).append(true).open(path)?;
            match file.metadata()?.len() < most {
                true => file.write_all(text.as_bytes()),
                false => Ok(()),
            }
        };
        let stored = add();
        self.check_store(stored, name);
    }
}
