// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of make's output, on what real tools printed.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Summary {
    let mut reader = LogReader::new(&["/lab/src", ".."]);
    text.lines().for_each(|line| reader.line(line));
    reader.finish()
}

fn check(text: &str, file: Option<&str>, line: Option<u32>, message: &str) {
    let Some(Failure::Code(error)) = read(text).failure else {
        panic!("no error in {text}")
    };
    assert_eq!(
        (error.file.as_deref(), error.line, error.message.as_str()),
        (file, line, message)
    );
}

#[test]
fn the_compilers_first_error_wins_over_what_make_says() {
    let text = "
  CC      fs/dcache.o
In file included from /lab/src/include/linux/fs.h:7,
                 from /lab/src/fs/dcache.c:20:
/lab/src/include/linux/dcache.h:75:9: error: unknown type name ‘foo’
   75 |         foo bar;
      |         ^~~
/lab/src/fs/dcache.c: In function ‘dput’:
/lab/src/fs/dcache.c:900:1: error: second
make[4]: *** [/lab/src/scripts/Makefile.build:229: fs/dcache.o] Error 1
make[1]: *** [/lab/src/Makefile:1937: .] Error 2
make: *** [Makefile:234: __sub-make] Error 2
";
    check(
        text,
        Some("include/linux/dcache.h"),
        Some(75),
        "unknown type name ‘foo’",
    );
    let Some(Failure::Code(error)) = read(text).failure else {
        panic!()
    };
    assert_eq!(error.context.len(), 5);
    assert_eq!(error.context[4], "      |         ^~~");
}

#[test]
fn every_tool_is_understood() {
    check(
        "arch/x86/x.S:12: Error: no such instruction: `foo'",
        Some("arch/x86/x.S"),
        Some(12),
        "no such instruction: `foo'",
    );
    check(
        "ld: fs/dcache.o: in function `dput':\n/lab/src/fs/dcache.c:12: undefined reference to `nosuch'\nmake[2]: *** [x: vmlinux] Error 1",
        Some("fs/dcache.c"),
        Some(12),
        "undefined reference to `nosuch'",
    );
    check(
        "ld: dcache.c:(.text+0x12): undefined reference to `nosuch'",
        Some("dcache.c"),
        None,
        "undefined reference to `nosuch'",
    );
    check(
        "ERROR: modpost: \"foo\" [fs/x.ko] undefined!",
        None,
        None,
        "modpost: \"foo\" [fs/x.ko] undefined!",
    );
    check(
        "fs/Kconfig:12: syntax error\nmake[1]: *** [x] Error 1",
        Some("fs/Kconfig"),
        Some(12),
        "syntax error",
    );
    check(
        "fs/Kconfig:5:error: recursive dependency detected!",
        Some("fs/Kconfig"),
        Some(5),
        "error: recursive dependency detected!",
    );
    check(
        "make[3]: *** No rule to make target 'fs/foo.o', needed by 'fs/built-in.a'.  Stop.",
        None,
        None,
        "No rule to make target 'fs/foo.o', needed by 'fs/built-in.a'.  Stop.",
    );
    check(
        "/lab/src/fs/Makefile:9: *** missing separator.  Stop.\nmake: *** [a] Error 2",
        Some("fs/Makefile"),
        Some(9),
        "missing separator.  Stop.",
    );
    check(
        "make[1]: *** [Makefile:1: x] Error 7",
        None,
        None,
        "[Makefile:1: x] Error 7",
    );
}

#[test]
fn the_hosts_faults_are_not_the_codes() {
    for text in [
        "/lab/src/fs/a.c:1:1: fatal error: error writing to /tmp/cc.s: No space left on device",
        "ld: final link failed: No space left on device",
        "gcc: fatal error: Killed signal terminated program cc1",
        "/bin/sh: 1: flex: not found",
        "bwrap: No permissions to create new namespace",
        "/lab/src/scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory",
    ] {
        let failure = read(&format!("{text}\nmake: *** [x] Error 1")).failure;
        assert!(
            matches!(failure, Some(Failure::Rig(_))),
            "{text}: {failure:?}"
        );
    }
    let header = "/lab/src/fs/a.c:3:10: fatal error: nosuch.h: No such file or directory";
    assert!(matches!(read(header).failure, Some(Failure::Code(_))));
    let source = "  130 | #define ENOSPC 28 /* No space left on device */";
    assert_eq!(read(source).failure, None);
}

#[test]
fn warnings_belong_to_the_target_whose_making_gave_them() {
    let summary = read(
        "
  CC      fs/a.o
/lab/src/fs/a.c:1:5: warning: unused variable ‘x’ [-Wunused-variable]
    1 | int x;
  CC      fs/b.o
  AR      fs/built-in.a
  GEN     x
vmlinux.o: warning: objtool: foo+0x1: bad
",
    );
    assert_eq!(summary.objects, 3);
    assert_eq!(summary.warnings["fs/b.o"], []);
    let warning = &summary.warnings["fs/a.o"][0];
    assert_eq!(
        (warning.file.as_deref(), warning.line),
        (Some("fs/a.c"), Some(1))
    );
    assert_eq!(warning.context.len(), 2);
    assert_eq!(summary.failure, None);
}

#[test]
fn escapes_and_floods_are_bounded() {
    let long = format!(
        "/lab/src/fs/a.c:1:1: error: \u{1b}[31m{}\u{7}\n{}",
        "x".repeat(100_000),
        "  y\n".repeat(1000)
    );
    let Some(Failure::Code(error)) = read(&long).failure else {
        panic!()
    };
    assert!(error.message.len() < 500 && !error.message.contains('\u{1b}'));
    assert!(error.context.len() <= CONTEXT_LINES);
}

proptest! {
    #[test]
    fn any_output_is_read(text in "(?s)(.{0,40}(: error: |: \\*\\*\\* |undefined reference to |Kconfig:1:|  CC  |: warning: )?.{0,20}\n){0,20}") {
        let summary = read(&text);
        prop_assert!(summary.objects as usize <= text.lines().count());
    }
}
