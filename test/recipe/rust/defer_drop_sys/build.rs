//! Asks pkg-config where the library is.
use std::process::Command;

fn main() {
    let asked = Command::new("pkg-config").args(["--libs", "defer_drop >= 0.2"]).output().expect("pkg-config");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    for word in String::from_utf8(asked.stdout).expect("words").split_whitespace() {
        if let Some(folder) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={folder}");
        } else if let Some(library) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
}
