// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small program with inlined functions, compiled here, and what becomes of it when its bytes are damaged.

use crate::symbol::*;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

const FIRST: &str = "int callee(int x);
int after;
static inline __attribute__((always_inline)) int inner(int x)
{
	return callee(x) + 1;
}
static inline __attribute__((always_inline)) int middle(int x)
{
	after = inner(x);
	return after;
}
static __attribute__((noinline, used)) int twin(int x)
{
	return x;
}
__attribute__((noinline)) int outer(int x)
{
	int y = middle(x);
	callee(3);
	return y + twin(x);
}
";
const SECOND: &str = "int outer(int x);
__attribute__((noinline)) int callee(int x)
{
	__asm__ volatile(\"\");
	return x;
}
static __attribute__((noinline, used)) int twin(int x)
{
	__asm__ volatile(\"nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop;\");
	__asm__ volatile(\"nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop;\");
	return x + 1;
}
void _start(void)
{
	outer(twin(1));
	for (;;)
		;
}
";

/// The program, or nothing where no compiler makes one.
fn build(folder: &Path, more: &[&str]) -> Option<Vec<u8>> {
    std::fs::write(folder.join("first.c"), FIRST).unwrap();
    std::fs::write(folder.join("second.c"), SECOND).unwrap();
    let made = Command::new("gcc")
        .current_dir(folder)
        .args(["-g", "-O1", "-fno-pie", "-no-pie", "-static", "-nostdlib"])
        .args([
            "-fcf-protection=none",
            "-fno-asynchronous-unwind-tables",
            "-o",
            "program",
        ])
        .args(["first.c", "second.c"])
        .args(more)
        .output();
    let made = made.is_ok_and(|output| output.status.success());
    made.then(|| std::fs::read(folder.join("program")).unwrap())
}

fn program() -> Option<&'static [u8]> {
    static MADE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let made = MADE.get_or_init(|| build(tempfile::tempdir().unwrap().path(), &[]));
    if made.is_none() {
        println!("SKIPPED a test of symbols: no gcc that links a static program");
    }
    made.as_deref()
}

fn no_zstd(_: &[u8], _: usize) -> Option<Vec<u8>> {
    None
}

fn spot(text: &str) -> Spot {
    spots(text).into_iter().next().unwrap()
}

/// `inner first.c:5`, joined by `<`.
fn told(kernel: &Resolver<'_>, text: &str, exact: bool) -> Option<String> {
    let resolved = kernel.resolve(&spot(text), exact)?;
    let frames: Vec<String> = (resolved.frames.iter())
        .map(|f| {
            let place = f
                .file
                .as_ref()
                .map(|file| format!(" {file}:{}", f.line.unwrap_or(0)));
            format!("{}{}", f.function, place.unwrap_or_default())
        })
        .collect();
    Some(frames.join(" < "))
}

fn size_of(program: &[u8], name: &str) -> Vec<u64> {
    use object::{Object, ObjectSymbol};
    let file = object::File::parse(program).unwrap();
    let mut sizes: Vec<u64> = (file.symbols())
        .filter(|s| s.name() == Ok(name))
        .map(|s| s.size())
        .collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn inlined_frames_come_first_and_a_return_address_means_its_call() {
    let Some(program) = program() else { return };
    let vmlinux = Vmlinux::parse(program, no_zstd).unwrap();
    let kernel = vmlinux.resolver();
    let size = size_of(program, "outer")[0];
    let all: Vec<String> = (1..size)
        .filter_map(|offset| told(&kernel, &format!("outer+{offset:#x}/{size:#x}"), true))
        .collect();
    let chain = "inner first.c:5 < middle first.c:9 < outer first.c:18";
    let inlined = all.iter().position(|told| told == chain).unwrap();
    // The byte behind the call is of the next statement; as a return address it is of the call.
    let behind = (1..size)
        .map(|offset| format!("outer+{offset:#x}/{size:#x}"))
        .filter(|text| {
            told(&kernel, text, true).is_some_and(|t| !t.contains("first.c:19"))
                && told(&kernel, text, false).as_deref() == Some("outer first.c:19")
        });
    assert_eq!(behind.count(), 1, "{all:#?}");
    let lines = [
        format!(" outer+{:#x}/{size:#x}", inlined + 2),
        format!(
            " ? callee+0x1/{:#x} [inline]",
            size_of(program, "callee")[0]
        ),
        " nobody+0x1/0x10".to_owned(),
    ];
    let source = |text: &str| Source::new(text.as_bytes(), Default::default());
    let sources = [
        ("first.c".to_owned(), source(FIRST)),
        ("second.c".to_owned(), source(SECOND)),
    ];
    let text: Vec<String> = render(&decode(&lines, &kernel), &sources.into())
        .into_iter()
        .map(|out| match out {
            Out::Console(line) => format!("|{line}"),
            Out::Inlined(line) => format!(">{line}"),
            Out::Source(line) => format!("={line}"),
        })
        .collect();
    let text = text.join("\n");
    let steady = text
        .replace(&lines[0], " outer+OFFSET")
        .replace(&lines[1][..lines[1].len() - 9], " ? callee+OFFSET");
    insta::assert_snapshot!(steady, @"
    > inner (first.c:5) [inline]
    =     5: return callee(x) + 1;
    > middle (first.c:9) [inline]
    =     9: after = inner(x);
    | outer+OFFSET (first.c:18)
    =     18: int y = middle(x);
    | ? callee+OFFSET (second.c:3) [inline]
    | nobody+0x1/0x10
    ");
}

#[test]
fn of_several_functions_of_one_name_the_printed_size_tells_which() {
    let Some(program) = program() else { return };
    let vmlinux = Vmlinux::parse(program, no_zstd).unwrap();
    let kernel = vmlinux.resolver();
    let sizes = size_of(program, "twin");
    assert_eq!(sizes.len(), 2);
    for (size, file) in sizes.iter().zip(["first.c", "second.c"]) {
        let resolved = kernel
            .resolve(&spot(&format!("twin+0x1/{size:#x}")), true)
            .unwrap();
        assert_eq!(resolved.frames[0].file.as_deref(), Some(file));
        assert!(resolved.fits);
    }
    let other = kernel.resolve(&spot("callee+0x1/0x4000"), true).unwrap();
    assert!(!other.fits);
    assert!(kernel.resolve(&spot("callee+0x9/0x8"), true).is_none());
    assert!(
        kernel
            .resolve(&spot("callee+0x1/0x8 [xfs]"), true)
            .is_none()
    );
}

#[test]
fn compressed_and_stripped_programs_tell_what_they_can() {
    let folder = tempfile::tempdir().unwrap();
    let Some(plain) = program() else { return };
    let size = size_of(plain, "callee")[0];
    let text = format!("callee+0x1/{size:#x}");
    let vmlinux = Vmlinux::parse(plain, no_zstd).unwrap();
    let wanted = told(&vmlinux.resolver(), &text, true).unwrap();
    assert!(wanted.starts_with("callee second.c:"), "{wanted}");
    if let Some(packed) = build(folder.path(), &["-gz=zlib"]) {
        let vmlinux = Vmlinux::parse(&packed, no_zstd).unwrap();
        assert_eq!(
            told(&vmlinux.resolver(), &text, true).as_deref(),
            Some(wanted.as_str())
        );
    }
    let old = build(folder.path(), &["-gdwarf-4"]).unwrap();
    let vmlinux = Vmlinux::parse(&old, no_zstd).unwrap();
    assert_eq!(
        told(&vmlinux.resolver(), &text, true).as_deref(),
        Some(wanted.as_str())
    );
    let bare = build(
        folder.path(),
        &[
            "-g0",
            "-Wl,--build-id=0x00112233445566778899aabbccddeeff00112233",
        ],
    )
    .unwrap();
    let vmlinux = Vmlinux::parse(&bare, no_zstd).unwrap();
    assert_eq!(
        told(&vmlinux.resolver(), &text, true).as_deref(),
        Some("callee")
    );
    assert_eq!(
        vmlinux.build_id().as_deref(),
        Some("00112233445566778899aabbccddeeff00112233")
    );
    assert_eq!(vmlinux.banner(), None);
    assert!(Vmlinux::parse(b"no ELF at all", no_zstd).is_err());
}

/// Asks a damaged program all there is to ask.
fn ask(bytes: &[u8]) {
    let Ok(vmlinux) = Vmlinux::parse(bytes, no_zstd) else {
        return;
    };
    let (_, _) = (vmlinux.build_id(), vmlinux.banner());
    let kernel = vmlinux.resolver();
    for name in ["outer", "callee", "twin", "_start", "kernel_init"] {
        for offset in [0, 1, 9, 30] {
            let text = format!("{name}+{offset:#x}/0x40");
            told(&kernel, &text, offset == 9);
        }
    }
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        cut in prop::option::weighted(0.3, 0.0..1.0_f64),
        damage in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..40),
    ) {
        let Some(program) = program() else { return Ok(()) };
        let mut bytes = program.to_vec();
        for (at, value) in damage {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        bytes.truncate((cut.unwrap_or(1.0) * bytes.len() as f64) as usize);
        ask(&bytes);
    }
}
