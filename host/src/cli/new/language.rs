//! What a guest can be written in: its template, file by file.

use clap::ValueEnum;

use super::name::Name;

/// A language that has a template. What runs in an engine of its own is made into a component of the world `worker`; the
/// others are modules of interface 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    C,
    Zig,
    #[value(name = "assemblyscript")]
    AssemblyScript,
    #[value(name = "javascript")]
    JavaScript,
    Python,
}

/// A path in the project, and what is in it.
type File = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

macro_rules! sdk {
    ($($name:literal),*) => {
        [$((
            concat!("cofferdam-guest/src/", $name),
            include_str!(concat!("../../../../guest/src/", $name)),
        )),*]
    };
}

/// The SDK is handed over as it is here: it is in no registry, and a path into this repository would lead nowhere
/// elsewhere. Imports declared by hand would need `unsafe`, and have no stand-in host for tests.
const SDK: [File; 9] = sdk!(
    "abi.rs",
    "context.rs",
    "entry.rs",
    "imports.rs",
    "lib.rs",
    "region.rs",
    "reply.rs",
    "testing.rs",
    "text.rs"
);

/// The world of components, as this host offers it.
const WORLD: File = (
    "wit/worker.wit",
    include_str!("../../../../guest/wit/worker.wit"),
);

impl Language {
    pub(super) const ALL: [Self; 6] = [
        Self::Rust,
        Self::C,
        Self::Zig,
        Self::AssemblyScript,
        Self::JavaScript,
        Self::Python,
    ];

    /// As it is typed.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Zig => "zig",
            Self::AssemblyScript => "assemblyscript",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }

    /// What has to be installed.
    pub(super) const fn takes(self) -> &'static str {
        match self {
            Self::Rust => "cargo, and `rustup target add wasm32-unknown-unknown`",
            Self::C => "a clang for WebAssembly: `python3 -m pip install ziglang` brings one",
            Self::Zig => "Zig: `python3 -m pip install ziglang`",
            Self::AssemblyScript => "Node and npm, which fetches the compiler",
            Self::JavaScript => "Node and npm, which fetches jco: 340 MB",
            Self::Python => "componentize-py: `python3 -m pip install -r requirements.txt`",
        }
    }

    const fn readme(self) -> &'static str {
        match self {
            Self::Rust => template!("rust/README.md"),
            Self::C => template!("c/README.md"),
            Self::Zig => template!("zig/README.md"),
            Self::AssemblyScript => template!("assemblyscript/README.md"),
            Self::JavaScript => template!("javascript/README.md"),
            Self::Python => template!("python/README.md"),
        }
    }

    /// Where the built guest lies.
    const fn module(self) -> &'static str {
        match self {
            Self::Rust => "target/wasm32-unknown-unknown/release/guest_name.wasm",
            Self::C | Self::Zig | Self::JavaScript | Self::Python => "guest-name.wasm",
            Self::AssemblyScript => "build/guest-name.wasm",
        }
    }

    /// The files that no other language has.
    fn own(self) -> Vec<File> {
        match self {
            Self::Rust => {
                let mut files = vec![
                    (".gitignore", template!("rust/gitignore")),
                    ("Cargo.toml", template!("rust/Cargo.toml.in")),
                    ("src/lib.rs", template!("rust/src/lib.rs")),
                    (
                        "cofferdam-guest/Cargo.toml",
                        template!("rust/sdk/Cargo.toml.in"),
                    ),
                    (
                        "cofferdam-guest/LICENSE-MIT",
                        include_str!("../../../../LICENSE-MIT"),
                    ),
                ];
                files.extend(SDK);
                files
            }
            Self::C => vec![
                (".gitignore", template!("c/gitignore")),
                ("src/cofferdam.h", template!("c/src/cofferdam.h")),
                ("src/guest.c", template!("c/src/guest.c")),
            ],
            Self::Zig => vec![
                (".gitignore", template!("zig/gitignore")),
                ("src/cofferdam.zig", template!("zig/src/cofferdam.zig")),
                ("src/main.zig", template!("zig/src/main.zig")),
            ],
            Self::AssemblyScript => vec![
                (".gitignore", template!("assemblyscript/gitignore")),
                ("package.json", template!("assemblyscript/package.json")),
                (
                    "assembly/tsconfig.json",
                    template!("assemblyscript/assembly/tsconfig.json"),
                ),
                (
                    "assembly/cofferdam.ts",
                    template!("assemblyscript/assembly/cofferdam.ts"),
                ),
                (
                    "assembly/index.ts",
                    template!("assemblyscript/assembly/index.ts"),
                ),
            ],
            Self::JavaScript => vec![
                (".gitignore", template!("javascript/gitignore")),
                ("package.json", template!("javascript/package.json")),
                ("src/index.js", template!("javascript/src/index.js")),
                ("src/text.js", template!("javascript/src/text.js")),
                WORLD,
            ],
            Self::Python => vec![
                (".gitignore", template!("python/gitignore")),
                ("requirements.txt", template!("python/requirements.txt")),
                ("src/guest.py", template!("python/src/guest.py")),
                WORLD,
            ],
        }
    }

    /// Every file of a project of this name.
    pub(super) fn files(self, name: &Name) -> Vec<(&'static str, String)> {
        let cases = template!("cofferdam.toml").replace("path/to/guest.wasm", self.module());
        let mut files = vec![("cofferdam.toml", name.fill_in(&cases))];
        for (path, text) in [("README.md", self.readme())].into_iter().chain(self.own()) {
            let text = text
                .replace("sdk-version", env!("CARGO_PKG_VERSION"))
                // The SDK's sources are those of this workspace, and take the Rust that it takes.
                .replace("sdk-takes-rust", env!("CARGO_PKG_RUST_VERSION"));
            files.push((path, name.fill_in(&text)));
        }
        files
    }

    /// The commands that build it: those of its README.
    pub(super) fn build(self, name: &Name) -> Vec<String> {
        let lines = self.readme().lines();
        let block = lines
            .skip_while(|line| *line != "## Build")
            .skip_while(|line| *line != "```sh")
            .skip(1);
        block
            .take_while(|line| *line != "```")
            .map(|line| name.fill_in(line))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::abi;

    #[test]
    fn every_import_is_declared_where_a_project_declares_the_interface() {
        let declared = [
            template!("c/src/cofferdam.h"),
            template!("zig/src/cofferdam.zig"),
            template!("assemblyscript/assembly/cofferdam.ts"),
        ];
        // As each of them writes a name that is imported.
        let forms = [
            |name: &str| format!("COFFERDAM_IMPORT(\"{name}\")"),
            |name: &str| format!("extern \"cofferdam\" fn {name}("),
            |name: &str| format!("@external(\"cofferdam\", \"{name}\")"),
        ];
        for (text, form) in declared.into_iter().zip(forms) {
            for name in abi::import::ALL {
                assert!(text.contains(&form(name)), "{}", form(name));
            }
        }
    }

    #[test]
    fn a_project_that_makes_a_component_has_the_world_word_for_word() {
        let name = Name::of("shout".as_ref()).unwrap();
        let (path, world) = WORLD;
        for language in [Language::JavaScript, Language::Python] {
            let files = language.files(&name);
            assert!(files.contains(&(path, world.to_owned())), "{language:?}");
        }
    }

    #[test]
    fn a_project_in_rust_says_which_rust_its_sdk_takes() {
        let name = Name::of("shout".as_ref()).unwrap();
        let line = format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"));
        let files = Language::Rust.files(&name);
        let saying = files.iter().filter(|(_, text)| text.contains(&line));
        let paths: Vec<_> = saying.map(|(path, _)| *path).collect();
        assert_eq!(paths, ["Cargo.toml", "cofferdam-guest/Cargo.toml"]);
    }
}
