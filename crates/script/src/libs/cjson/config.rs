//! What scripts may configure, and the functions that do so and tell what is configured.

use crate::libs::Outcome;
use crate::libs::args::Args;
use crate::libs::fault::Fault;
use mlua::{MultiValue, Value};

#[derive(Clone, Copy, Debug)]
pub(super) struct Config {
    pub(super) sparse_convert: i32,
    pub(super) sparse_ratio: i32,
    pub(super) sparse_safe: i32,
    pub(super) encode_max_depth: i32,
    pub(super) decode_max_depth: i32,
    pub(super) encode_number_precision: i32,
    pub(super) encode_keep_buffer: i32,
    /// 0: refuse them; 1: as they are; 2: null.
    pub(super) encode_invalid_numbers: i32,
    pub(super) decode_invalid_numbers: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_convert: 0,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            encode_number_precision: 14,
            encode_keep_buffer: 1,
            encode_invalid_numbers: 0,
            decode_invalid_numbers: 1,
        }
    }
}

/// A function that sets and tells one or more settings.
pub(super) struct Setter {
    pub(super) name: &'static str,
    settings: &'static [Setting],
}

/// One setting: where it is and what it may be.
struct Setting {
    of: fn(&mut Config) -> &mut i32,
    values: Values,
}

enum Values {
    /// Integers of this range.
    Between(i32, i32),
    /// Words, the first two of which are false and true.
    Words(&'static [&'static str]),
}

use Values::{Between, Words};

const OFF_ON: Values = Words(&["off", "on"]);

pub(super) const SETTERS: &[Setter] = &[
    Setter {
        name: "encode_sparse_array",
        settings: &[
            Setting { of: |config| &mut config.sparse_convert, values: OFF_ON },
            Setting { of: |config| &mut config.sparse_ratio, values: Between(0, i32::MAX) },
            Setting { of: |config| &mut config.sparse_safe, values: Between(0, i32::MAX) },
        ],
    },
    Setter {
        name: "encode_max_depth",
        settings: &[Setting { of: |config| &mut config.encode_max_depth, values: Between(1, i32::MAX) }],
    },
    Setter {
        name: "decode_max_depth",
        settings: &[Setting { of: |config| &mut config.decode_max_depth, values: Between(1, i32::MAX) }],
    },
    Setter {
        name: "encode_number_precision",
        settings: &[Setting { of: |config| &mut config.encode_number_precision, values: Between(1, 14) }],
    },
    Setter {
        name: "encode_keep_buffer",
        settings: &[Setting { of: |config| &mut config.encode_keep_buffer, values: OFF_ON }],
    },
    Setter {
        name: "encode_invalid_numbers",
        settings: &[Setting {
            of: |config| &mut config.encode_invalid_numbers,
            values: Words(&["off", "on", "null"]),
        }],
    },
    Setter {
        name: "decode_invalid_numbers",
        settings: &[Setting { of: |config| &mut config.decode_invalid_numbers, values: OFF_ON }],
    },
];

/// Sets what there are arguments for, and gives what is then set.
pub(super) fn set(setter: &Setter, config: &mut Config, args: &Args<'_>) -> Outcome<MultiValue> {
    if args.len() > setter.settings.len() {
        return Err(Fault::argument(setter.settings.len() + 1, "found too many arguments"));
    }
    let mut results = MultiValue::new();
    for (index, setting) in setter.settings.iter().enumerate() {
        let place = (setting.of)(config);
        if !args.is_none_or_nil(index + 1) {
            *place = setting.values.read(args, index + 1)?;
        }
        results.push_back(setting.values.show(*place, args)?);
    }
    Ok(results)
}

impl Values {
    fn read(&self, args: &Args<'_>, number: usize) -> Outcome<i32> {
        match (self, args.get(number)) {
            (Between(min, max), _) => {
                let value = args.integer(number)? as i32;
                let wrong = || Fault::argument(1, format!("expected integer between {min} and {max}"));
                (*min..=*max).contains(&value).then_some(value).ok_or_else(wrong)
            }
            (Words(_), Some(Value::Boolean(value))) => Ok(i32::from(value)),
            (Words(words), _) => {
                let given = args.string(number)?;
                let given = given.as_bytes();
                // C compares up to the first zero byte.
                let given = given.split(|&byte| byte == 0).next().unwrap_or_default();
                let position = words.iter().position(|word| word.as_bytes() == given);
                let wrong = || Fault::argument(number, [b"invalid option '", given, b"'"].concat());
                position.map(|position| position as i32).ok_or_else(wrong)
            }
        }
    }

    fn show(&self, value: i32, args: &Args<'_>) -> Outcome<Value> {
        Ok(match self {
            Between(..) => Value::Integer(value.into()),
            Words(_) if value <= 1 => Value::Boolean(value == 1),
            Words(words) => {
                let word = words.get(value as usize).copied().unwrap_or_default();
                Value::String(args.lua().create_string(word)?)
            }
        })
    }
}
