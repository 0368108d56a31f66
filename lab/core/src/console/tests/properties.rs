// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for any console at all. Consoles are grown from the kernel's own reports: whole, torn, interleaved, in all
//! dresses that lines come in, with bytes of any kind between them.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

/// Most bytes that a reader may hold, whatever it read.
const HELD: usize = 2 << 20;

/// All reports that tests know, and lines that are heads without a report.
fn pool() -> Vec<String> {
    let mut pool = families::reports();
    pool.extend([
        SLEEP.to_owned(),
        HUNG.to_owned(),
        circular("&a->b#2/1", "c", "do_it"),
    ]);
    for line in [
        "------------[ cut here ]------------",
        "kernel BUG at fs/inode.c:1!",
        "Linux version 6.12.117",
        "SeaBIOS (version 1.16.2)",
        "refcount_t: underflow",
        "Kernel panic - not syncing: Fatal exception",
        "BUG: x",
        "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
        "Oops: Oops: 0000 [#1]",
        "sysrq: Show Blocked State",
        "** 77 printk messages dropped **",
    ] {
        pool.push(line.to_owned());
    }
    pool
}

/// A report as one caller prints it, in one of the dresses of lines.
fn dressed(text: &str, dress: u8, who: u8, from: u32) -> Vec<Vec<u8>> {
    let caller = ["T1", "T77", "C0", "C1", "T4242"][usize::from(who) % 5];
    let dress = |(at, line): (usize, &str)| {
        let time = f64::from(from) + at as f64 / 1000.0;
        let micros = (time * 1e6) as u64;
        match dress % 9 {
            0 => format!("{line}\n"),
            1 => format!("[{time:12.6}] {line}\n"),
            2 | 3 => format!("[{time:12.6}][{caller:>6}] {line}\r\n"),
            4 => format!("<4>[{time:12.6}] {line}\n"),
            5 => format!("Nov 21 02:12:22 host kernel: [{time:12.6}] {line}\n"),
            6 => format!("\x1b[0;31m[{time:12.6}][{caller:>6}] {line}\x1b[0m\n"),
            7 => format!("4,{at},{micros},-,caller={caller};{line}\n"),
            _ => format!("vm-3| [{time:12.6}][{caller:>6}] {line}\n"),
        }
    };
    let lines = text.lines().enumerate().map(dress);
    lines.map(String::into_bytes).collect()
}

/// Several callers' reports, their lines in any order that keeps each caller's own.
fn interleaved() -> impl Strategy<Value = Vec<u8>> {
    let speaker = (
        proptest::sample::select(pool()),
        0_u8..9,
        0_u8..5,
        0_u32..60,
    )
        .prop_map(|(text, dress, who, from)| dressed(&text, dress, who, from));
    let speakers = proptest::collection::vec(speaker, 1..6);
    let turns = proptest::collection::vec(any::<Index>(), 1..40);
    (speakers, turns).prop_map(|(mut speakers, turns)| {
        let mut console = Vec::new();
        let mut turn = turns.iter().cycle();
        while !speakers.is_empty() {
            let at = turn.next().map_or(0, |index| index.index(speakers.len()));
            if speakers[at].is_empty() {
                speakers.remove(at);
            } else {
                console.extend(speakers[at].remove(0));
            }
        }
        console
    })
}

/// What befalls a console on its way: bytes lost, doubled, put in, and the end cut off.
#[derive(Debug, Clone)]
enum Mishap {
    Lost(Index, usize),
    Doubled(Index, usize),
    Put(Index, Vec<u8>),
    Cut(Index),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        (any::<Index>(), 1_usize..200).prop_map(|(at, len)| Mishap::Lost(at, len)),
        (any::<Index>(), 1_usize..400).prop_map(|(at, len)| Mishap::Doubled(at, len)),
        (
            any::<Index>(),
            proptest::collection::vec(any::<u8>(), 1..60)
        )
            .prop_map(|(at, bytes)| Mishap::Put(at, bytes)),
        (any::<Index>(), "[ -~\n]{1,60}").prop_map(|(at, text)| Mishap::Put(at, text.into())),
        any::<Index>().prop_map(Mishap::Cut),
    ]
}

fn befall(mut console: Vec<u8>, mishaps: Vec<Mishap>) -> Vec<u8> {
    for mishap in mishaps {
        let len = console.len();
        if len == 0 {
            break;
        }
        match mishap {
            Mishap::Lost(at, size) => {
                let at = at.index(len);
                console.drain(at..(at + size).min(len));
            }
            Mishap::Doubled(at, size) => {
                let at = at.index(len);
                let end = (at + size).min(len);
                let again = console[at..end].to_vec();
                console.splice(end..end, again);
            }
            Mishap::Put(at, bytes) => {
                let at = at.index(len);
                console.splice(at..at, bytes);
            }
            Mishap::Cut(at) => console.truncate(at.index(len)),
        }
    }
    console
}

/// Consoles as they come.
fn console() -> impl Strategy<Value = Vec<u8>> {
    let parts = proptest::collection::vec(interleaved(), 1..3).prop_map(|parts| parts.concat());
    (parts, proptest::collection::vec(mishap(), 0..4))
        .prop_map(|(console, mishaps)| befall(console, mishaps))
}

/// Everything heard while `log` is read in pieces, and the findings of the end.
fn in_pieces(log: &[u8], cuts: &[usize]) -> (Vec<Heard>, Vec<Finding>) {
    let mut reader = Reader::new(Options::default());
    let mut heard = Vec::new();
    let mut rest = log;
    for cut in cuts {
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        heard.extend(reader.push(piece));
        assert!(reader.held() < HELD, "{} bytes held", reader.held());
        rest = tail;
    }
    heard.extend(reader.push(rest));
    // The last line has no end: it is heard at the end of one reading, and in a push of no other.
    (heard, reader.finish())
}

proptest! {
    #[test]
    fn positions_are_in_order_and_within(log in console()) {
        let findings = read(&log);
        for finding in &findings {
            let start = finding.start as usize;
            prop_assert!(finding.start < finding.end && finding.end <= log.len() as u64);
            prop_assert!(start == 0 || log[start - 1] == b'\n', "begins amid a line");
            excerpt(&log, finding, 10);
        }
        prop_assert!(findings.windows(2).all(|pair| pair[0].start <= pair[1].start));
    }

    #[test]
    fn any_chunking_gives_the_same(log in console(), cuts in proptest::collection::vec(0_usize..200, 0..60)) {
        prop_assert_eq!(in_pieces(&log, &cuts), in_pieces(&log, &[]));
    }

    #[test]
    fn no_bytes_make_it_panic(log in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read(&log);
    }

    #[test]
    fn what_is_told_is_fit_to_print(log in console()) {
        for finding in read(&log) {
            let words = [&finding.title, &finding.signature];
            let all = words.into_iter().chain(&finding.alt).chain(&finding.function);
            for text in all {
                prop_assert!(text.len() < 4000 && text.chars().all(|char| char == ' ' || char.is_ascii_graphic()), "{text:?}");
            }
            let unfilled = ["{func}", "{kind}", "{access}", "{rest}", "{slab}"];
            prop_assert!(!unfilled.iter().any(|part| finding.signature.contains(part)));
        }
    }

    #[test]
    fn a_report_read_alone_gives_itself(log in console()) {
        for finding in read(&log) {
            let alone = read(&log[finding.start as usize..finding.end as usize]);
            // A reboot is only one after another boot.
            let same = |other: &Finding| (&other.signature, &other.title, &other.function, other.weight) == (&finding.signature, &finding.title, &finding.function, finding.weight);
            prop_assert!(finding.class == Class::Reboot || alone.iter().any(same), "{finding:#?}\nalone {alone:#?}");
        }
    }

    #[test]
    fn names_numbers_and_addresses_are_no_part_of_a_bug(
        text in proptest::sample::select(families::reports()),
        number in 100_u32..99_999,
        address in 0x1000_0000_u64..0xffff_ffff,
        comm in "[a-z]{2,8}(/[0-9]{1,3})?",
    ) {
        let other = text
            .replace("storm/3", &comm)
            .replace("PID: 77", &format!("PID: {number}"))
            .replace("CPU: 1", "CPU: 13")
            .replace("CPU#1", "CPU#13")
            .replace("ffff888003b1a2f8", &format!("ffff8880{address:08x}"))
            .replace("0x12/0x340", &format!("0x{number:x}/0x{address:x}"));
        let signatures = |text: &str| -> Vec<String> {
            read(text.as_bytes()).into_iter().map(|finding| finding.signature).collect()
        };
        prop_assert_eq!(signatures(&other), signatures(&text));
        prop_assert_eq!(signatures(&printed("C3", 777.0, &other)), signatures(&text));
    }
}

/// Inputs that try to make a reader keep things.
#[test]
fn memory_is_bounded_whatever_is_printed() {
    let lock = "ff (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa){+.+.}, at: some_long_function_name+0x1/0x2\n";
    let frame = format!(" {}+0x1/0x2\nCall Trace:\n", "f".repeat(300));
    let endless = "x".repeat(1 << 20);
    for (line, times) in [
        (lock, 300),
        (frame.as_str(), 300),
        (endless.as_str(), 2),
        ("-> #1 (a){}:\n", 300),
    ] {
        let mut reader = Reader::new(Options::default());
        for caller in 0..20 {
            let head = "WARNING: possible circular locking dependency detected";
            reader.push(format!("\n[    1.0][ T{caller}] {head}\n").as_bytes());
            for _ in 0..times {
                reader.push(format!("[    1.0][ T{caller}] {line}").as_bytes());
            }
            assert!(
                reader.held() < HELD,
                "{} bytes held of {line:.40}",
                reader.held()
            );
        }
    }
}
