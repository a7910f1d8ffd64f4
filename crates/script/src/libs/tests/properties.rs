//! What holds for any input: values come back as they went, numbers are written and read as C does it, and
//! nothing that a script can say is answered otherwise than by a value or an error that is a string.

use super::lua;
use mlua::{FromLua, Function, Lua, String as LuaString, Table, Value};
use proptest::prelude::*;

/// A value that both JSON and MessagePack can say.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Boolean(bool),
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(Vec<u8>, Tree)>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Tree::Boolean),
        any::<i32>().prop_map(|number| Tree::Number(number.into())),
        any::<i16>().prop_map(|number| Tree::Number(f64::from(number) / 8.0)),
        any::<Vec<u8>>().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key = "[a-z]{1,3}".prop_map(String::into_bytes);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..6).prop_map(Tree::List),
            prop::collection::btree_map(key, inner, 1..6)
                .prop_map(|map| Tree::Map(map.into_iter().collect())),
        ]
    })
}

impl Tree {
    fn to_lua(&self, lua: &Lua) -> Value {
        match self {
            Self::Boolean(boolean) => Value::Boolean(*boolean),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::String(lua.create_string(text).unwrap()),
            Self::List(list) => {
                let values = list.iter().map(|value| value.to_lua(lua));
                Value::Table(lua.create_sequence_from(values).unwrap())
            }
            Self::Map(map) => {
                let pairs =
                    map.iter().map(|(key, value)| (lua.create_string(key).unwrap(), value.to_lua(lua)));
                Value::Table(lua.create_table_from(pairs).unwrap())
            }
        }
    }

    fn of_lua(value: &Value) -> Self {
        match value {
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Integer(integer) => Self::Number(*integer as f64),
            Value::Number(number) => Self::Number(*number),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Table(table) if table.raw_len() > 0 => {
                let len = table.raw_len();
                Self::List((1..=len).map(|index| Self::of_lua(&table.raw_get(index).unwrap())).collect())
            }
            Value::Table(table) => {
                let pairs = table.pairs::<LuaString, Value>().map(Result::unwrap);
                let mut map: Vec<_> =
                    pairs.map(|(key, value)| (key.as_bytes().to_vec(), Self::of_lua(&value))).collect();
                map.sort_by(|(left, _), (right, _)| left.cmp(right));
                Self::Map(map)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn function(lua: &Lua, library: &str, name: &str) -> Function {
    lua.globals().get::<Table>(library).unwrap().get(name).unwrap()
}

/// Calls it as a script would that catches errors, and gives what there is, or the text of the error.
fn caught(lua: &Lua, library: &str, name: &str, args: impl mlua::IntoLuaMulti) -> Result<Value, String> {
    let pcall: Function = lua.globals().get("pcall").unwrap();
    let mut args = args.into_lua_multi(lua).unwrap();
    args.push_front(Value::Function(function(lua, library, name)));
    match pcall.call::<(bool, Value)>(args).unwrap() {
        (true, value) => Ok(value),
        (false, Value::String(text)) => Err(text.to_string_lossy()),
        (false, other) => panic!("{library}.{name} raises {other:?}"),
    }
}

/// Bytes of JSON more often than others.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\ud834", "\\udd1e", "true", "false", "null", "nan",
            "inf", "0x", "0x1p", "1", "-", ".", "e", "+", " ", "\"a\":", "[[", "]]", "{\"b\":",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Formats of `struct`, and what is not one.
fn format() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(vec![
            "b", "H", "l", "L", "T", "i", "I3", "i16", "i32", "i0", "f", "d", "s", "c0", "c", "c3", "x", "!", "!4", "!16",
            "!1073741824", "<", ">", " ", "Bc0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => (0..3_000_000_000_u32).prop_map(|number| number.to_string().into_bytes()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn values_come_back_from_json_and_messagepack(tree in tree()) {
        let lua = lua();
        for (library, there, back) in [("cjson", "encode", "decode"), ("cmsgpack", "pack", "unpack")] {
            let text: LuaString = function(&lua, library, there).call(tree.to_lua(&lua)).unwrap();
            let value: Value = function(&lua, library, back).call(text).unwrap();
            prop_assert_eq!(&Tree::of_lua(&value), &tree, "{}", library);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(json in jsonish(), bytes: Vec<u8>, offset: i64, limit in -1_i64..9) {
        let lua = lua();
        let _ = caught(&lua, "cjson", "decode", lua.create_string(&json).unwrap());
        let bytes = lua.create_string(&bytes).unwrap();
        let _ = caught(&lua, "cjson", "decode", bytes.clone());
        let _ = caught(&lua, "cmsgpack", "unpack", bytes.clone());
        let _ = caught(&lua, "cmsgpack", "unpack_one", (bytes.clone(), offset));
        let _ = caught(&lua, "cmsgpack", "unpack_limit", (bytes, limit, offset % 16));
    }

    #[test]
    fn any_format_is_followed_or_refused(format in format(), data: Vec<u8>, at: i64, numbers: [f64; 4]) {
        let lua = lua();
        let format = lua.create_string(&format).unwrap();
        let data = lua.create_string(&data).unwrap();
        let [a, b, c, d] = numbers;
        let _ = caught(&lua, "struct", "size", format.clone());
        let _ = caught(&lua, "struct", "unpack", (format.clone(), data.clone(), at % 8));
        let _ = caught(&lua, "struct", "unpack", (format.clone(), data.clone(), at));
        let _ = caught(&lua, "struct", "pack", (format.clone(), a, b, c, d));
        let _ = caught(&lua, "struct", "pack", (format, data.clone(), data.clone(), a, data));
    }

    #[test]
    fn what_struct_packs_it_unpacks(byte: i8, short: u16, long in -(1_i64 << 53)..1 << 53, double: f64, text in "[a-z]{0,9}", align in 0_u32..5) {
        let lua = lua();
        for order in ["<", ">"] {
            let format = format!("!{}{order}bHldsBc0", 1 << align);
            let args = (format.as_str(), byte, short, long, double, text.as_str(), text.len(), text.as_str());
            let packed: LuaString = function(&lua, "struct", "pack").call(args).unwrap();
            let unpack = function(&lua, "struct", "unpack");
            type Unpacked = (i8, u16, i64, f64, String, String, usize);
            let unpacked: Unpacked = unpack.call((format, packed.clone())).unwrap();
            let next = packed.as_bytes().len() + 1;
            prop_assert_eq!(unpacked, (byte, short, long, double, text.clone(), text.clone(), next));
        }
    }

    #[test]
    fn numbers_are_written_as_printf_writes_them(bits: u64, near: i32, precision in 1_usize..=14) {
        let lua = lua();
        let printf: Function = lua.load("return string.format").eval().unwrap();
        function(&lua, "cjson", "encode_number_precision").call::<()>(precision).unwrap();
        for number in [f64::from_bits(bits), f64::from(near), f64::from(near) / 64.0, f64::from(near) * 1e-7] {
            if number.is_finite() {
                let written: String = function(&lua, "cjson", "encode").call(number).unwrap();
                prop_assert_eq!(written, printf.call::<String>((format!("%.{precision}g"), number)).unwrap());
            }
        }
    }

    #[test]
    fn numbers_are_read_as_strtod_reads_them(
        text in "-?(0[xX][0-9a-f]{0,18}(\\.[0-9a-f]{0,4})?([pP]-?[0-9]{1,4})?|[0-9]{1,22}(\\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?)",
    ) {
        let lua = lua();
        // Lua's own reading is that of C.
        let strtod: Function = lua.load("return tonumber").eval().unwrap();
        let expected = strtod.call::<Option<f64>>(text.as_str()).unwrap();
        let read = caught(&lua, "cjson", "decode", text.as_str()).ok();
        let read = read.and_then(|value| f64::from_lua(value, &lua).ok());
        prop_assert_eq!(read.map(f64::to_bits), expected.map(f64::to_bits), "{}", text);
    }

    #[test]
    fn bits_are_those_of_32_bit_integers(a: i32, b: i32, by in 0_u32..32, wraps in -4_i64..4) {
        let lua = lua();
        let number = f64::from(a) + wraps as f64 * 2_f64.powi(32);
        let two = |name: &str, other: i64| function(&lua, "bit", name).call::<i64>((number, other)).unwrap();
        prop_assert_eq!(two("band", b.into()), i64::from(a & b));
        prop_assert_eq!(two("bor", b.into()), i64::from(a | b));
        prop_assert_eq!(two("bxor", b.into()), i64::from(a ^ b));
        prop_assert_eq!(two("lshift", by.into()), i64::from(a << by));
        prop_assert_eq!(two("rshift", by.into()), i64::from(((a as u32) >> by) as i32));
        prop_assert_eq!(two("arshift", by.into()), i64::from(a >> by));
        prop_assert_eq!(two("rol", by.into()), i64::from(a.rotate_left(by)));
        prop_assert_eq!(two("ror", by.into()), i64::from(a.rotate_right(by)));
    }
}
