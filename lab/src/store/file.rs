// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are whole or not there: written under another name, synced, renamed.

use crate::error::{Doing, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Writes `bytes` to `path` so that a reader sees the old file or the whole new one, also after a
/// crash. The folder must exist.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    (|| -> std::io::Result<()> {
        let mut temp = tempfile::NamedTempFile::new_in(folder)?;
        temp.write_all(bytes)?;
        temp.as_file().sync_all()?;
        // A temporary file is private to its owner; a result is for whoever may read the folder.
        fs::set_permissions(
            temp.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o644),
        )?;
        temp.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    })()
    .doing(|| format!("write {}", path.display()))
}

/// Writes a value as readable JSON; see [`write()`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::internal(e.to_string()))
        .doing(|| format!("encode {}", path.display()))?;
    text.push(b'\n');
    write(path, &text)
}

/// Reads a JSON file. `None` if it is not there.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::rig(e.to_string()).hint("move the file away; the lab makes it again"))
        .doing(|| format!("read {}", path.display()))
}

/// Appends one line of JSON and syncs it. A torn line that a crash left behind is ended first, so that
/// it cannot swallow this one.
pub fn append_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut line = serde_json::to_vec(value).map_err(|e| Error::internal(e.to_string()))?;
    line.push(b'\n');
    (|| -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last[0] != b'\n' {
                line.insert(0, b'\n');
            }
        }
        file.write_all(&line)?;
        file.sync_data()
    })()
    .doing(|| format!("append to {}", path.display()))
}

/// Reads a file of JSON lines. Lines that are torn are skipped and counted; a missing file is empty.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, usize)> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
    };
    let (mut values, mut torn) = (Vec::new(), 0);
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(value) => values.push(value),
            Err(_) => torn += 1,
        }
    }
    Ok((values, torn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        append_json(&path, &1).unwrap();
        append_json(&path, &22222).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{".to_vec()].concat()).unwrap();
        append_json(&path, &3).unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), (vec![1, 3], 1));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        write_json(&path, &"old").unwrap();
        assert!(write_json(&folder.path().join("absent/x.json"), &"new").is_err());
        assert_eq!(read_json::<String>(&path).unwrap().unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        fs::write(&path, "{\"a\":").unwrap();
        let error = read_json::<serde_json::Value>(&path)
            .unwrap_err()
            .to_string();
        assert!(error.contains("x.json"), "{error}");
        assert!(
            read_json::<u32>(&folder.path().join("none"))
                .unwrap()
                .is_none()
        );
    }
}
