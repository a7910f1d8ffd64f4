//! Compiles the proto file, without `protoc`: messages, service, and their canonical JSON.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const PACKAGE: &str = ".ateapi";

fn main() -> Result<(), Box<dyn Error>> {
    // tidy-ok: this is how a build script talks to cargo
    println!("cargo:rerun-if-changed=proto/ateapi.proto");
    // Comments stay in, so that clients that use reflection can show them.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file("ateapi.proto")?;
    let descriptors = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    // Ordered maps, so that one record always has the same text.
    tonic_prost_build::configure()
        .btree_map(PACKAGE)
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors)?
        .btree_map([PACKAGE])
        .ignore_unknown_fields()
        .ignore_unknown_enum_variants()
        .build(&[PACKAGE])?;
    Ok(())
}
