// SPDX-License-Identifier: MIT OR Apache-2.0
//! Series and bases that do not build, and what compilers warn of.

use crate::bench::{Bench, OLD_WARNING};
use crate::verdicts::{BUG, OK};

#[test]
fn the_patch_that_does_not_compile_is_named_with_its_line() {
    let bench = Bench::new();
    let series = bench.series("broken", &[OK, OK, OK, "return nosuch;", OK]);
    let ran = bench.run(&series, &[]).exits(125);
    assert!(
        ran.out.contains(
            "from patch 4 (fs/dcache: take step 4) on it does not build: fs/dcache.c:23: "
        ),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("cannot tell"), "{}", ran.out);
    let each = bench.run(&series, &["--each", "--json"]).exits(125).json();
    let trouble = &each["profiles"][0]["trouble"];
    assert!(
        trouble.as_array().unwrap().iter().any(|t| t["patch"] == 4),
        "{each:#}"
    );
}

#[test]
fn each_finds_a_patch_that_only_a_later_one_mends() {
    let bench = Bench::new();
    let step = |extra: &str| format!("int step(void)\n{{\n\treturn {extra};\n}}\n");
    let series = bench.series_with("order", &[step("1"), step("nosuch"), step("2")]);
    bench.run(&series, &[]).exits(0);
    let each = bench.run(&series, &["--each"]).exits(125).out;
    assert!(
        each.contains("patch 2 (fs/dcache: take step 2)") && each.contains("fs/dcache.c:8: "),
        "{each}"
    );
}

#[test]
fn a_base_that_does_not_build_is_said() {
    let bench = Bench::with_base("int torn(void) { return nosuch_base; }\n");
    let series = bench.series("wakeup", &[OK, BUG]);
    let ran = bench.run(&series, &[]).exits(125);
    assert!(
        ran.out.contains("the base does not build: fs/dcache.c:6: "),
        "{}",
        ran.out
    );
}

#[test]
fn only_warnings_that_the_base_has_not_are_told() {
    let bench = Bench::with_base(OLD_WARNING);
    let series = bench.series("warns", &[OK, "int unused_since;", OK]);
    let each = bench.run(&series, &["--each", "--json"]).exits(0).json();
    let warnings = &each["profiles"][0]["warnings"];
    assert_eq!(warnings.as_array().unwrap().len(), 1, "{each:#}");
    let one = &warnings[0];
    assert_eq!(
        (&one["patch"], &one["not_before"], &one["file"]),
        (&2.into(), &2.into(), &"fs/dcache.c".into())
    );
    assert_eq!(one["line"], 18, "{one:#}");
    assert!(
        one["message"].as_str().unwrap().contains("unused_since"),
        "{one:#}"
    );
    let text = bench.run(&series, &[]).exits(0).out;
    assert!(
        text.contains(
            "new compiler warning, one of patches 1 to 3: fs/dcache.c:18: unused variable"
        ),
        "{text}"
    );
    assert!(!text.contains("unused_before"), "{text}");
}
