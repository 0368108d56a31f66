// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is worth showing while a boot goes on.

use lab_core::boot::Stage;
use lab_core::finding::Finding;
use lab_core::job::BootJob;
use lab_wire::{Event, FromGuest};

/// News of a boot.
#[derive(Debug, Clone, PartialEq)]
pub struct VmProgress {
    /// Seconds since QEMU was started.
    pub done: u64,
    /// Seconds that it will take, if all goes well; never less than `done`.
    pub expected: u64,
    /// What is new.
    pub news: News,
    /// Scenario that runs, e.g. `lookup-storm/xfs`; empty before the first.
    pub scenario: String,
}

/// What is new.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A stage began.
    Stage(Stage),
    /// The agent said this.
    Told(FromGuest),
    /// The console reader saw this whole report.
    Found(Finding),
    /// The lab noticed or did this.
    Remark(String),
}

impl VmProgress {
    /// For people; no byte of it is the guest's own but letters of its reports, with controls taken out.
    pub fn words(&self) -> String {
        let words = match &self.news {
            News::Stage(Stage::Firmware | Stage::Kernel) => "booting".to_owned(),
            News::Stage(stage) => stage.to_string(),
            News::Found(finding) => finding.title.clone(),
            News::Remark(words) => words.clone(),
            News::Told(said) => match &said.event {
                Event::Progress { .. } => format!("{}: {}", self.scenario, told(&said.event)),
                event => told(event),
            },
        };
        let left = self.expected.saturating_sub(self.done);
        let words = if left > 0 {
            format!("{words}, about {left} s left")
        } else {
            words
        };
        words.chars().filter(|c| !c.is_control()).collect()
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Hello { release, .. } => format!("Linux {release} is up"),
        Event::Begin { name, fs, .. } => format!("{name} on {fs}"),
        Event::Progress { ops, ran_ms, .. } => format!("{ops} operations in {} s", ran_ms / 1000),
        Event::Wrong { oracle, .. } => format!("wrong result: {oracle}"),
        Event::Stuck { comm, op, .. } => format!("{comm} is stuck in {op}"),
        Event::End { ops, .. } => format!("{ops} operations done"),
        Event::Note { text } => text.clone(),
        Event::Fault { reason } => format!("the agent failed: {reason}"),
        Event::Slow { step, took_ms, .. } => format!("{step} took {took_ms} ms"),
        Event::Stall { cpu, gap_ms, .. } => format!("CPU {cpu} stood still for {gap_ms} ms"),
        Event::Pong { .. } | Event::Measure { .. } | Event::Latencies { .. } => {
            "running".to_owned()
        }
        Event::State { path, .. } => format!("read {path}"),
        Event::StateEnd => "its state is told".to_owned(),
        Event::Settled { .. } => "waits for the audit".to_owned(),
        Event::Bye => "powering off".to_owned(),
    }
}

/// Seconds a boot should take: those of its scenarios, and some for the boot itself.
pub(super) fn expected(job: &BootJob) -> u64 {
    const BOOT: u64 = 10;
    let scenarios = job.guest.scenarios.iter();
    BOOT + scenarios.map(|s| u64::from(s.seconds)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_carry_no_escape_sequences() {
        let news = News::Told(FromGuest {
            t_ms: 1,
            event: Event::Note {
                text: "\u{1b}[2Jhello\u{9b}\n".into(),
            },
        });
        let progress = VmProgress {
            done: 1,
            expected: 2,
            news,
            scenario: String::new(),
        };
        assert_eq!(progress.words(), "[2Jhello, about 1 s left");
    }
}
