// SPDX-License-Identifier: MIT OR Apache-2.0
mod program;
mod touching;

use super::spot::{Kind, spots};
use super::*;

fn check(line: &str, wanted: &[(&str, u64, u64, Kind)]) {
    let found: Vec<_> = spots(line)
        .into_iter()
        .map(|s| (s.symbol, s.offset, s.size, s.kind))
        .collect();
    let wanted: Vec<_> = (wanted.iter())
        .map(|(symbol, offset, size, kind)| ((*symbol).to_owned(), *offset, *size, *kind))
        .collect();
    assert_eq!(found, wanted, "{line}");
}

#[test]
fn places_are_found_in_all_forms_that_kernels_print() {
    use Kind::*;
    check(
        "[    0.891049][    T1]  __d_add+0x51/0x2b0",
        &[("__d_add", 0x51, 0x2b0, Return)],
    );
    check(
        "[    1.2][   T71]  ? d_walk.isra.0+0x1/0x20",
        &[("d_walk.isra.0", 1, 0x20, Guess)],
    );
    check(
        "RIP: 0010:d_splice_alias+0x3c2/0x410",
        &[("d_splice_alias", 0x3c2, 0x410, Pointer)],
    );
    check(
        "RIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] dput+0x1/0x2",
        &[("dput", 1, 2, Pointer)],
    );
    check("RIP: 0033:0x7f0b1c2d3e4f", &[]);
    check(
        "WARNING: CPU: 1 PID: 71 at ../src/fs/dcache.c:344 dentry_free+0x5e/0x70",
        &[("dentry_free", 0x5e, 0x70, Pointer)],
    );
    check(
        "pc : el0_svc+0x30/0xf0",
        &[("el0_svc", 0x30, 0xf0, Pointer)],
    );
    check(
        " __schedule from schedule+0x6c/0xd4",
        &[("schedule", 0x6c, 0xd4, Return)],
    );
    check(
        "hardirqs last disabled at (123): [<ffffffff81e2>] __raw_spin_lock_irq+0x5/0x60",
        &[("__raw_spin_lock_irq", 5, 0x60, Return)],
    );
    check(
        "ffff888 (&type->i_mutex_dir_key#3){++++}-{4:4}, at: path_openat+0x8d5/0x11a0",
        &[("path_openat", 0x8d5, 0x11a0, Return)],
    );
    for absent in [
        "",
        "+0x",
        "x+0x",
        "x+0x1",
        "x+0x1/",
        "x+0x1/0x",
        "9x+0x1/0x2",
        " +0x1/0x2",
        "ä+0x1/0x2",
        "x+0x11111111111111111/0x2",
    ] {
        check(absent, &[]);
    }
}

#[test]
fn a_module_is_named_and_a_spot_ends_behind_it() {
    let line = " xfs_lookup+0x1/0x20 [xfs 0123abcd] tail";
    let found = spots(line);
    assert_eq!(found[0].module.as_deref(), Some("xfs"));
    assert_eq!(
        &line[found[0].at.clone()],
        "xfs_lookup+0x1/0x20 [xfs 0123abcd]"
    );
    let found = spots(" ? path_openat+0x1/0x20 [inline]");
    assert_eq!(found[0].module, None);
}

const FILE: &str = "#include <x.h>
static int one(void) { return 1; }

/* Two lines
 * of words. */
static inline int
two(struct dentry *dentry,
    int more)
{
	if (more)
		goto out;
	more = 1;
out:
	return more;
}
EXPORT_SYMBOL(two);

struct three {
	int x;
};
int four(void) {
	return 4;
}
";

#[test]
fn a_function_reaches_from_its_declaration_to_its_brace() {
    let source = Source::new(FILE.as_bytes(), touch::Touches::default());
    let check = |line: u32, wanted| assert_eq!(source.function(line), wanted, "line {line}");
    check(1, None);
    check(2, Some((2, 2)));
    (6..=15).for_each(|line| check(line, Some((6, 15))));
    check(16, None);
    check(17, None);
    (18..=20).for_each(|line| check(line, Some((18, 20))));
    (21..=23).for_each(|line| check(line, Some((21, 23))));
    check(0, None);
    check(24, None);
}

#[test]
fn a_frame_is_marked_by_line_or_by_function() {
    use touch::Hunk;
    let mut touches = touch::Touches::default();
    let wrote = Hunk {
        old_start: 11,
        old_lines: 0,
        new_start: 12,
        new_lines: 1,
    };
    touches.step(3, &[wrote]);
    let source = Source::new(FILE.as_bytes(), touches);
    let text = |line| source.mark(line).map(|mark| mark.text());
    assert_eq!(text(12).as_deref(), Some("line of patch 3"));
    assert_eq!(text(14).as_deref(), Some("patch 3 changes this function"));
    assert_eq!(text(22), None);
    assert_eq!(source.line(12).as_deref(), Some("more = 1;"));
}
