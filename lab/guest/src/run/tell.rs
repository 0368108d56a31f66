// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a scenario tells: who is stuck, what was wrong or slow, how fast it was.

use super::{Run, slots, total};
use crate::proc;
use crate::scenario::Number;
use crate::scenario::worker::Shared;
use crate::stats::{Histogram, Stats};
use lab_wire::Event;
use std::sync::Arc;

/// Violations told in one scenario.
const TOLD: usize = 32;

impl Run<'_> {
    /// Tells of a thread that does not stop, as /proc shows it, and since when it is in its operation.
    pub(super) fn tell_stuck(&self, tid: i32, op: String, since_ms: u64) {
        let proc::Task {
            comm,
            state,
            wchan,
            stack,
        } = proc::look(tid);
        let index = self.index;
        self.port.tell(Event::Stuck {
            index,
            tid,
            comm,
            state,
            op,
            wchan,
            since_ms,
            stack,
        });
    }

    /// Tells what the workers saw since the last time.
    pub(super) fn tell_seen(&self, parts: &[Arc<Shared>]) {
        let mut told = 0;
        for (shared, slot) in slots(parts) {
            let seen = slot.take_told();
            for wrong in seen.wrongs {
                told += 1;
                if told <= TOLD {
                    self.tell_wrong(wrong.oracle, wrong.detail, wrong.history);
                }
            }
            for slow in seen.slows {
                self.port.tell(Event::Slow {
                    index: self.index,
                    op: shared.entry.ops[usize::from(slow.op)].name.to_owned(),
                    step: slow.step,
                    took_ms: slow.took.as_millis() as u64,
                    median_us: slow.median_us,
                });
            }
        }
    }

    /// Tells of a violated oracle.
    pub(super) fn tell_wrong(&self, oracle: &str, detail: String, history: Vec<String>) {
        self.port.tell(Event::Wrong {
            index: self.index,
            oracle: oracle.to_owned(),
            detail,
            history,
        });
    }

    /// Tells speeds and latencies: of all, of each operation, and what the scenario measures itself.
    pub(super) fn measure(&self, parts: &[Arc<Shared>], ran_ms: u64) {
        let seconds = ran_ms.max(1) as f64 / 1e3;
        self.number(Number::per_second(
            "ops-per-second",
            total(parts) as f64 / seconds,
        ));
        let (mut starved, mut wrong) = (0, 0);
        for shared in parts {
            let sum = sum(shared);
            starved += sum.starved;
            wrong += sum.wrong;
            // Side by side, the operations of two scenarios may have one name.
            let part = match parts.len() {
                1 => String::new(),
                _ => format!("{}.", shared.entry.name),
            };
            for (place, histogram) in sum.each() {
                let name = format!("{part}{}", shared.entry.ops[place].name);
                self.tell_latencies(&name, histogram, seconds);
            }
            for number in shared.stage.numbers() {
                let name = format!("{part}{}", number.name);
                self.number(Number { name, ..number });
            }
        }
        self.number(Number::count("starved", starved as f64));
        self.number(Number::count("wrong", wrong as f64));
    }

    fn tell_latencies(&self, name: &str, histogram: &Histogram, seconds: f64) {
        let rate = histogram.total() as f64 / seconds;
        self.number(Number::per_second(format!("{name}.per-second"), rate));
        for (suffix, part) in [("p50", 0.5), ("p99", 0.99)] {
            let value = histogram.percentile_us(part).unwrap_or_default();
            self.number(micros(format!("{name}.{suffix}"), value));
        }
        self.number(micros(format!("{name}.max"), histogram.max_us()));
        self.port.tell(Event::Latencies {
            index: self.index,
            op: name.to_owned(),
            buckets: histogram.buckets(),
        });
    }

    fn number(&self, number: Number) {
        self.port.tell(Event::Measure {
            index: self.index,
            name: number.name,
            value: number.value,
            unit: number.unit.to_owned(),
        });
    }
}

fn micros(name: String, value: f64) -> Number {
    Number {
        name,
        value,
        unit: "us",
    }
}

fn sum(shared: &Shared) -> Stats {
    let mut sum = Stats::new(shared.entry.ops.len());
    for slot in &shared.slots {
        sum.merge(&slot.stats());
    }
    sum
}
