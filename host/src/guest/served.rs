//! Who answers when a guest calls an import.

use super::anatomy::Extern;
use super::{Entry, component, extism, wasi};

impl Entry {
    /// What serves this import of a guest that is entered so, in words.
    #[must_use]
    pub fn serves(&self, import: &Extern) -> &'static str {
        match self {
            Self::Handle => "interface 1",
            Self::Run | Self::Worker if import.ty == "type" => "nobody has to: it is a type",
            Self::Run | Self::Worker if component::is_refused(&import.name) => {
                "WASI 0.2, which refuses each call: nothing is granted"
            }
            Self::Run | Self::Worker if component::is_of_folders(&import.name) => {
                "WASI 0.2, within the folders of --dir"
            }
            Self::Run | Self::Worker if import.name.starts_with("cofferdam:") => {
                "the world cofferdam:guest/worker"
            }
            Self::Run | Self::Worker => "WASI 0.2",
            Self::Extism { .. } if extism::is_of_network(import) => {
                "Extism, within the hosts of --allow-host"
            }
            Self::Extism { .. } if !wasi::is_module(&import.module) => "Extism",
            Self::Start | Self::Function { .. } | Self::Packed(_) | Self::Extism { .. } => {
                match import.name.split_once('_') {
                    Some(("sock", _)) => "WASI preview 1, which refuses it: no network is granted",
                    Some(("path", _)) => "WASI preview 1, within the folders of --dir",
                    _ => "WASI preview 1",
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_import_has_somebody_who_serves_it_or_refuses() {
        let served = |entry: &Entry, module: &str, name: &str, ty: &str| {
            entry.serves(&Extern {
                module: module.to_owned(),
                name: name.to_owned(),
                ty: ty.to_owned(),
            })
        };
        let plugin = Entry::Extism {
            call: "f".to_owned(),
        };
        let wasi = "wasi_snapshot_preview1";
        let found = [
            served(&Entry::Start, wasi, "fd_write", "func"),
            served(&Entry::Start, wasi, "path_open", "func"),
            served(&Entry::Start, wasi, "sock_send", "func"),
            served(&plugin, wasi, "path_open", "func"),
            served(&plugin, extism::MODULE, "http_request", "func"),
            served(&plugin, extism::OLDER_MODULE, "extism_http_request", "func"),
            served(&plugin, extism::MODULE, "input_length", "func"),
            served(&Entry::Run, "", "wasi:sockets/tcp@0.2.0", "instance"),
            served(&Entry::Worker, "", component::HOST, "instance"),
            served(&Entry::Worker, "", "wasi:io/poll@0.2.1", "instance"),
            served(&Entry::Worker, "", "refusal", "type"),
            served(&Entry::Run, "", "wasi:filesystem/types@0.2.9", "instance"),
        ];
        let refuses = |text: &str| text.contains("granted");
        assert_eq!(
            found.map(refuses),
            [
                false, false, true, false, false, false, false, true, false, false, false, false
            ]
        );
        assert_eq!(found[3], "WASI preview 1, within the folders of --dir");
        assert_eq!(found[4], "Extism, within the hosts of --allow-host");
        assert_eq!(found[5], found[4]);
        assert_eq!(found[8], "the world cofferdam:guest/worker");
        assert_eq!(found[11], "WASI 0.2, within the folders of --dir");
    }
}
