//! A client of another language, with messages made from the proto file by that language's own compiler.

use super::*;
use integration::api::worker;
use integration::listing::Kind;
use std::path::Path;
use std::process::Command;
use testkit::{temp_dir, tools};

const ACTORS: usize = 3000;

/// Makes the messages, and runs the script with them.
fn python_works_over(kind: Kind) {
    let (python, made) = (tools::python().unwrap(), temp_dir().unwrap());
    let proto = tools::workspace().join("crates/ateproto/proto");
    let out = made.path().display();
    let compiled = Command::new(&python)
        .args(["-m", "grpc_tools.protoc", "-I"])
        .arg(&proto)
        .args([format!("--python_out={out}"), format!("--grpc_python_out={out}"), "ateapi.proto".to_owned()])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let store = Target::start(kind).unwrap();
    store.put(&[worker("w1", "n1"), worker("w2", "n2")]).unwrap();
    fill(&store, "crowd", "a", ACTORS);
    let api = Api::over(&store.seeds(), &[]).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/actors.py");
    let output = Command::new(&python)
        .arg(script)
        .args([api.address(), &ACTORS.to_string()])
        .env("PYTHONPATH", made.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}{errors}", output.status);
}

#[test]
fn grpc_of_python_works_over_redis() {
    python_works_over(Kind::Redis);
}

#[test]
fn grpc_of_python_works_over_bulkhead() {
    python_works_over(Kind::Bulkhead { groups: 4 });
}
