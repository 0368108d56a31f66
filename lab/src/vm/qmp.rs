// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's monitor protocol: what is said to it, and what its lines mean. No I/O here.
//!
//! See docs/interop/qmp-spec.txt of QEMU: one JSON object a line, a greeting first, then answers and events.

use lab_core::boot::{Qmp, ShutdownCause};
use serde_json::{Value, json};

/// What a line of the monitor is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// An event that the boot wants to know.
    Event(Qmp),
    /// The answer to a command with this id: its text, or the error's.
    Answer {
        /// The id that was sent.
        id: String,
        /// What it gave.
        result: Result<String, String>,
    },
    /// Anything else.
    Other,
}

/// The first thing to say.
pub(super) fn hello() -> Vec<u8> {
    line(&json!({"execute": "qmp_capabilities"}))
}

/// Ends QEMU.
pub(super) fn quit() -> Vec<u8> {
    line(&json!({"execute": "quit"}))
}

/// Lets a paused guest go on.
pub(super) fn resume() -> Vec<u8> {
    line(&json!({"execute": "cont"}))
}

/// Registers of all virtual CPUs, as text.
pub(super) fn registers(id: &str) -> Vec<u8> {
    let arguments = json!({"command-line": "info registers -a"});
    line(&json!({"execute": "human-monitor-command", "arguments": arguments, "id": id}))
}

/// The guest's memory as an ELF core into a descriptor that QEMU inherited; it answers when all is written.
pub(super) fn dump(id: &str, fd: i32) -> Vec<u8> {
    let protocol = format!("file:/proc/self/fd/{fd}");
    let arguments = json!({"paging": false, "protocol": protocol});
    line(&json!({"execute": "dump-guest-memory", "arguments": arguments, "id": id}))
}

/// A break on the serial console: the kernel takes the next character as a magic SysRq key.
pub(super) fn serial_break(id: &str) -> Vec<u8> {
    let arguments = json!({"id": "console"});
    line(&json!({"execute": "chardev-send-break", "arguments": arguments, "id": id}))
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// Reads a line of the monitor.
pub(super) fn read(value: &Value) -> Heard {
    if let Some(name) = value["event"].as_str() {
        return event(name, &value["data"]).map_or(Heard::Other, Heard::Event);
    }
    let Some(id) = value["id"].as_str() else {
        return Heard::Other;
    };
    let result = match (value.get("return"), value["error"]["desc"].as_str()) {
        (_, Some(error)) => Err(error.to_owned()),
        (Some(Value::String(text)), None) => Ok(text.clone()),
        (_, None) => Ok(String::new()),
    };
    Heard::Answer {
        id: id.to_owned(),
        result,
    }
}

fn event(name: &str, data: &Value) -> Option<Qmp> {
    match name {
        "GUEST_PANICKED" | "GUEST_CRASHLOADED" => Some(Qmp::Panicked),
        "SHUTDOWN" => Some(Qmp::Shutdown(cause(data["reason"].as_str()))),
        "RESET" => Some(Qmp::Reset {
            guest: data["guest"].as_bool().unwrap_or(true),
        }),
        "STOP" => Some(Qmp::Stopped),
        _ => None,
    }
}

/// Names as in «ShutdownCause» of QEMU's qapi/run-state.json.
fn cause(reason: Option<&str>) -> ShutdownCause {
    match reason {
        Some("guest-shutdown") => ShutdownCause::PowerOff,
        Some("guest-reset" | "subsystem-reset") => ShutdownCause::Reset,
        Some("guest-panic") => ShutdownCause::Panic,
        Some("host-qmp-quit") => ShutdownCause::Quit,
        Some("host-signal") => ShutdownCause::Signal,
        _ => ShutdownCause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Heard) {
        assert_eq!(read(&serde_json::from_str(text).unwrap()), wanted, "{text}");
    }

    #[test]
    fn events_that_matter_are_told_from_the_rest() {
        let paused = r#"{"timestamp":{"seconds":1,"microseconds":2},"event":"GUEST_PANICKED","data":{"action":"pause"}}"#;
        check(paused, Heard::Event(Qmp::Panicked));
        let reset = r#"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}"#;
        check(reset, Heard::Event(Qmp::Shutdown(ShutdownCause::Reset)));
        let off = r#"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}"#;
        check(off, Heard::Event(Qmp::Shutdown(ShutdownCause::PowerOff)));
        check(r#"{"event":"NIC_RX_FILTER_CHANGED"}"#, Heard::Other);
        check(r#"{"QMP":{"version":{},"capabilities":[]}}"#, Heard::Other);
        check("[1]", Heard::Other);
    }

    #[test]
    fn answers_come_with_their_id() {
        let answer = |result| Heard::Answer {
            id: "registers".into(),
            result,
        };
        check(
            r#"{"return":"CPU#0","id":"registers"}"#,
            answer(Ok("CPU#0".into())),
        );
        check(
            r#"{"return":{},"id":"registers"}"#,
            answer(Ok(String::new())),
        );
        let error = r#"{"error":{"class":"GenericError","desc":"no"},"id":"registers"}"#;
        check(error, answer(Err("no".into())));
    }
}
