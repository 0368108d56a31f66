// SPDX-License-Identifier: MIT OR Apache-2.0
//! A line of `events.jsonl`: what was said in a boot, besides the console, with the host's time.

use lab_wire::FromGuest;
use serde::{Deserialize, Serialize};

/// Format of `events.jsonl`, named in its first line.
pub const EVENTS_FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since QEMU was started, by the host's clock.
    pub host_ms: u64,
    /// Who said it, and what.
    #[serde(flatten)]
    pub what: Said,
}

/// Who said what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from", content = "said")]
pub enum Said {
    /// First line of the file.
    Format(u32),
    /// The agent.
    Guest(FromGuest),
    /// The agent's port gave a line that is no message: its start, and its whole length.
    Garbage {
        /// At most 200 characters of it.
        start: String,
        /// Bytes of the line.
        bytes: u64,
    },
    /// The agent was told this.
    Lab(lab_wire::ToGuest),
    /// QEMU's monitor, as it said it.
    Qmp(serde_json::Value),
    /// The lab noticed or did something.
    Remark(String),
    /// A stage of the boot began.
    Stage {
        /// Its name.
        name: String,
        /// Console bytes printed until then.
        console: u64,
    },
}

/// Reads `events.jsonl`; lines that do not parse (a torn last one, a newer kind) are counted, not fatal.
pub fn read(text: &str) -> (Vec<Record>, usize) {
    let mut damaged = 0;
    let records = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .filter_map(|line| {
            let record = serde_json::from_str(line).ok();
            damaged += usize::from(record.is_none());
            record
        })
        .collect();
    (records, damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_a_torn_one_is_counted() {
        let record = Record {
            host_ms: 1500,
            what: Said::Guest(FromGuest {
                t_ms: 900,
                event: lab_wire::Event::Pong { n: 3 },
            }),
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(
            line,
            r#"{"host_ms":1500,"from":"guest","said":{"t_ms":900,"say":"pong","n":3}}"#
        );
        let (records, damaged) = read(&format!("{line}\n\n{}", &line[..20]));
        assert_eq!((records, damaged), (vec![record], 1));
    }
}
