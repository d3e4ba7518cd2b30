//! `wire dissector`: a dissector for Wireshark and tshark. Its table of frames is that of the codec, which a test holds.

use crate::error::Error;
use std::io::Write;

/// The dissector as it lies beside the source, its table included.
const DISSECTOR: &str = include_str!("../dissector/chatwire.lua");

pub(crate) fn run() -> Result<(), Error> {
    Ok(std::io::stdout().write_all(DISSECTOR.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::DISSECTOR;
    use chatwire_codec::{Code, Direction, FRAMES, FieldInfo};
    use std::fmt::Write;

    const BEGIN: &str = "-- The table begins.\n";
    const END: &str = "-- The table ends.\n";

    /// With CHATWIRE_WRITE set, the table is written instead.
    #[test]
    fn the_dissector_has_the_table_of_the_codec() {
        let (before, rest) = DISSECTOR.split_once(BEGIN).expect("where the table begins");
        let (table, after) = rest.split_once(END).expect("where the table ends");
        if std::env::var_os("CHATWIRE_WRITE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dissector/chatwire.lua");
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", generated())).expect("the file");
            return;
        }
        assert_eq!(
            table,
            generated(),
            "CHATWIRE_WRITE=1 cargo test -p chatwire-wire dissector writes the table"
        );
    }

    fn generated() -> String {
        let mut lua = String::from("local FRAMES = {\n");
        for info in FRAMES {
            let way = match info.direction {
                Direction::ToServer => "to server",
                Direction::ToClient => "to client",
                Direction::Both => "both",
            };
            let head = format!("name = \"{}\", section = \"{}\", way = \"{way}\"", info.name, info.section);
            writeln!(lua, "  [{:#04x}] = {{ {head}, fields = {{{}}} }},", info.kind, fields(info.fields, 2))
                .unwrap();
        }
        lua.push_str("}\nlocal CODES = {\n");
        for code in Code::ALL {
            writeln!(lua, "  [{}] = \"{}\",", *code as u16, code.name()).unwrap();
        }
        lua + "}\n"
    }

    fn fields(fields: &[FieldInfo], depth: usize) -> String {
        let mut lua = String::new();
        let indent = "  ".repeat(depth);
        for field in fields {
            let ty = field.ty.split('[').next().unwrap();
            let required = if field.required { ", required = true" } else { "" };
            let items = if field.items.is_empty() {
                String::new()
            } else {
                format!(", items = {{{}}}", self::fields(field.items, depth + 1))
            };
            let head = format!("name = \"{}\", type = \"{ty}\"{required}{items}", field.name);
            write!(lua, "\n{indent}{{ {head} }},").unwrap();
        }
        if lua.is_empty() { lua } else { format!("{lua}\n{}", "  ".repeat(depth - 1)) }
    }
}
