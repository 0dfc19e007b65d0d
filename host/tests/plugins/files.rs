//! A command of WASI preview 2 that does with files what the lines of its input say: `tests/common/preview2.rs`
//! builds it.
//!
//! A line is a verb and words, and what came of it is a line of the output; of an error it is the number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime};

fn act(words: &[&str]) -> io::Result<String> {
    let done = |()| "done".to_owned();
    match *words {
        ["read", path] => fs::read_to_string(path),
        ["write", path, text] => fs::write(path, text).map(done),
        ["append", path, text] => OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?
            .write_all(text.as_bytes())
            .map(done),
        ["new", path] => File::create_new(path).map(drop).map(done),
        ["patch", path, from, text] => {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            file.seek(SeekFrom::Start(from.parse().expect("a number")))?;
            file.write_all(text.as_bytes())?;
            let at = file.stream_position()?;
            file.seek(SeekFrom::Current(-2))?;
            let mut rest = String::new();
            file.read_to_string(&mut rest)?;
            file.sync_all()?;
            Ok(format!("{at} {rest}"))
        }
        ["cut", path, size] => {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(size.parse().expect("a number")).map(done)
        }
        ["reads-only", path] => {
            let mut file = File::open(path)?;
            file.write_all(b"x").map(done)
        }
        ["large", path] => {
            let large: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
            fs::write(path, &large)?;
            Ok(format!("{}", fs::read(path)? == large))
        }
        ["make", path] => fs::create_dir_all(path).map(done),
        ["list", path] => {
            let mut names = fs::read_dir(path)?
                .map(|entry| {
                    let entry = entry?;
                    let kind = entry.file_type()?;
                    let mark = match (kind.is_dir(), kind.is_symlink()) {
                        (true, _) => "/",
                        (_, true) => "@",
                        _ => "",
                    };
                    Ok(entry.file_name().to_string_lossy().into_owned() + mark)
                })
                .collect::<io::Result<Vec<String>>>()?;
            names.sort();
            Ok(names.join(" "))
        }
        ["stat", path] => {
            let stat = fs::metadata(path)?;
            let kind = if stat.is_dir() { "folder" } else { "file" };
            let now = SystemTime::now();
            let age = now.duration_since(stat.modified()?).unwrap_or_default();
            assert!(age < Duration::from_secs(3600), "{age:?}");
            Ok(format!(
                "{kind} {}",
                if stat.is_dir() { 0 } else { stat.len() }
            ))
        }
        ["kind", path] => Ok(format!("{}", fs::symlink_metadata(path)?.is_symlink())),
        ["move", from, to] => fs::rename(from, to).map(done),
        ["copy", from, to] => fs::copy(from, to).map(|size| size.to_string()),
        ["name", from, to] => fs::hard_link(from, to).map(done),
        #[expect(deprecated, reason = "the one that names WASI is not stable")]
        ["link", target, path] => fs::soft_link(target, path).map(done),
        ["leads", path] => Ok(fs::read_link(path)?.to_string_lossy().into_owned()),
        ["remove", path] => fs::remove_file(path).map(done),
        ["remove-folder", path] => fs::remove_dir(path).map(done),
        ["remove-all", path] => fs::remove_dir_all(path).map(done),
        _ => panic!("{words:?}"),
    }
}

fn main() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).expect("text");
    for line in input.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match act(&words) {
            Ok(said) => println!("{said}"),
            Err(error) => match error.raw_os_error() {
                Some(number) => println!("error {number}"),
                None => println!("error {:?}", error.kind()),
            },
        }
    }
}
