//! Compiles the protobuf contracts without protoc, and lists them for `tests/it/contract.rs`.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["link.proto", "players.proto", "rooms.proto"], ["proto"])?;
    let mut contract = Vec::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let stream = |is_one: bool| if is_one { "stream " } else { "" };
                contract.push(format!(
                    "{}.{}.{}({}{}) {}{}",
                    file.package(),
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type(),
                ));
            }
        }
        for message in &file.message_type {
            // Nested ones are not used; a list without them would promise too little.
            assert!(message.nested_type.is_empty() && message.enum_type.is_empty());
            for field in &message.field {
                let choice = field.oneof_index.map(|index| {
                    let choice = &message.oneof_decl[index as usize];
                    format!(" in {}", choice.name())
                });
                contract.push(format!(
                    "{}.{} = {}: {} {} {}{}",
                    message.name(),
                    field.name(),
                    field.number(),
                    field.label().as_str_name(),
                    field.r#type().as_str_name(),
                    field.type_name(),
                    choice.unwrap_or_default(),
                ));
            }
        }
        for values in &file.enum_type {
            for value in &values.value {
                let (of, name) = (values.name(), value.name());
                contract.push(format!("{of}.{name} = {}", value.number()));
            }
        }
    }
    let lines = contract.iter().map(|line| line.trim_end());
    let contract = lines.collect::<Vec<_>>().join("\n") + "\n";
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("contract"), contract)?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
