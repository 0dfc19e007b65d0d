//! A project's name, which every language takes.

use std::path::Path;

/// Small letters, digits, `-` and `_`: what cargo, a file and a shell take as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name(String);

/// Longer ones are refused by some file system or registry.
const LONGEST: usize = 64;

/// Crates that the project's own would be mistaken for.
const TAKEN: [&str; 6] = [
    "alloc",
    "cofferdam-guest",
    "core",
    "proc-macro",
    "std",
    "test",
];

impl Name {
    /// The last part of a path, if it can be a name.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn of(path: &Path) -> Result<Self, String> {
        let Some(last) = path.file_name() else {
            return Err(format!(
                "{} names no folder: give one that ends in the project's name",
                path.display()
            ));
        };
        let last = last.to_string_lossy();
        let is_taken = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let begins_well = last.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || !last.chars().all(is_taken) || last.len() > LONGEST {
            return Err(format!(
                "`{}` can be no name: take at most {LONGEST} small letters, digits, `-` and `_`, a letter first",
                last.escape_debug()
            ));
        }
        if TAKEN.contains(&last.replace('_', "-").as_str()) {
            return Err(format!(
                "`{last}` is the name of a library that guests are built with: give another"
            ));
        }
        Ok(Self(last.into_owned()))
    }

    /// A template's text with this name in it. What was put in is not looked at again: a name may contain either spelling.
    pub(super) fn fill_in(&self, template: &str) -> String {
        // As cargo calls the library's file.
        let of_file = self.0.replace('-', "_");
        let parts = template.split("guest-name");
        let filled: Vec<String> = parts
            .map(|part| part.replace("guest_name", &of_file))
            .collect();
        filled.join(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_path_is_the_name() {
        for path in ["sum-2", "/tmp/a folder/sum-2", "../sum-2/"] {
            assert_eq!(Name::of(Path::new(path)), Ok(Name("sum-2".to_owned())));
        }
    }

    #[test]
    fn what_some_tool_would_refuse_is_refused() {
        let long = "a".repeat(LONGEST + 1);
        for path in [
            ".",
            "..",
            "/",
            "",
            "Sum",
            "2sum",
            "-sum",
            "s um",
            "größe",
            "a\nb",
            "a.b",
            "core",
            "cofferdam_guest",
            &long,
        ] {
            assert!(Name::of(Path::new(path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_template_gets_the_name_in_both_spellings() {
        let name = Name("sum-2".to_owned());
        assert_eq!(
            name.fill_in("guest-name guest_name.wasm"),
            "sum-2 sum_2.wasm"
        );
    }

    #[test]
    fn a_name_that_contains_a_placeholder_is_put_in_once() {
        let name = Name("my_guest_name".to_owned());
        assert_eq!(
            name.fill_in("guest-name guest_name.wasm"),
            "my_guest_name my_guest_name.wasm"
        );
    }
}
