// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case-insensitive XFS whose entries were corrupted: directories that hold their own ancestors, one directory
//! with two parents, an entry of a free inode. mkfs.xfs makes it sound, from a prototype; xfs_db then bends the
//! entries, and makes the checksums good again.

use super::disk::{Program, run};
use crate::error::{Error, Result};
use std::path::Path;
use std::process::Command;

/// What mkfs.xfs -p is to make. The guest's scenario ci-lookup knows these names.
pub(super) const PROTOTYPE: &str = "/
0 0
d--755 0 0
loops d--755 0 0
a d--755 0 0
Loop d--755 0 0
$
A-Loop-With-A-Name-That-Is-Too-Long-For-Its-Dentry d--755 0 0
$
Sound d--755 0 0
$
$
b d--755 0 0
Up d--755 0 0
Down d--755 0 0
$
$
$
c d--755 0 0
Twin d--755 0 0
$
Gone d--755 0 0
$
$
d d--755 0 0
Twin d--755 0 0
$
$
$
$
";

/// Where an entry shall lead.
enum To {
    /// To the directory of that path.
    Dir(&'static str),
    /// To an inode that nobody has: the last one of the root's chunk of 64.
    Free,
}

/// Directory, place of the entry in it, and where it shall lead.
const BENT: &[(&str, u32, To)] = &[
    ("/loops/a", 0, To::Dir("/")),
    ("/loops/a", 1, To::Dir("/loops")),
    ("/loops/b/Up", 0, To::Dir("/loops/b")),
    ("/loops/d", 0, To::Dir("/loops/c/Twin")),
    ("/loops/c", 1, To::Free),
];

const XFS_DB: Program = Program {
    name: "xfs_db",
    package: "xfsprogs",
    fs: "xfs-ci",
};

/// Bends the entries of a filesystem that was made from [`PROTOTYPE`].
///
/// # Errors
/// A missing or failing xfs_db.
pub(super) fn bend(image: &Path) -> Result<()> {
    let root = inode(image, "/")?;
    let mut wanted = Vec::new();
    for (dir, place, to) in BENT {
        let inode = match to {
            To::Dir(path) => inode(image, path)?,
            To::Free => root + 63,
        };
        wanted.push((*dir, *place, inode));
    }
    for (dir, place, inode) in wanted {
        let field = format!("u3.sfdir3.list[{place}].inumber.i4");
        let (path, write) = (format!("path {dir}"), format!("write {field} {inode}"));
        let said = db(image, &[&path, &write])?;
        if number(&said, &field) != Some(inode) {
            let said = said.trim().lines().last().unwrap_or_default();
            return Err(Error::rig(format!(
                "xfs_db did not write {field} of {dir}: {said}"
            )));
        }
    }
    Ok(())
}

/// The inode number of a path.
fn inode(image: &Path, path: &str) -> Result<u64> {
    let said = db(image, &[&format!("path {path}"), "print v3.inumber"])?;
    number(&said, "v3.inumber")
        .ok_or_else(|| Error::rig(format!("xfs_db finds no {path}: {}", said.trim())))
}

/// The number in a line `FIELD = NUMBER`.
fn number(said: &str, field: &str) -> Option<u64> {
    said.lines().find_map(|line| {
        let (name, value) = line.split_once(" = ")?;
        (name == field).then(|| value.trim().parse().ok())?
    })
}

/// Runs xfs_db with commands; what it said.
fn db(image: &Path, commands: &[&str]) -> Result<String> {
    let mut command = Command::new(XFS_DB.name);
    command.arg("-x");
    for text in commands {
        command.args(["-c", text]);
    }
    let output = run(&XFS_DB, command.arg(image))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_field() {
        let said = "noise\nv3.inumber = 131\n";
        assert_eq!(number(said, "v3.inumber"), Some(131));
        assert_eq!(number(said, "v3.inumbe"), None);
        assert_eq!(number("v3.inumber = x\n", "v3.inumber"), None);
    }

    #[test]
    fn every_directory_of_the_prototype_is_closed() {
        let opened = PROTOTYPE
            .lines()
            .filter(|line| line.contains("d--755"))
            .count();
        assert_eq!(
            opened,
            PROTOTYPE.lines().filter(|line| *line == "$").count()
        );
    }
}
