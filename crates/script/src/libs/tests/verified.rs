//! Expressions and what they give: each answer is that of redis-server 7.0.15 and valkey-server 8.1, which agree.
//!
//! `verified.txt` has an expression of Lua to a line, and below it the answer as `run` in `PRELUDE` shows it: EVAL
//! of the prelude, a line feed, `return run(EXPRESSION)`.

use super::{eval, lua};

const ROWS: &[u8] = include_bytes!("verified.txt");

const PRELUDE: &str = concat!(
    r#"local show show = function(v) local t = type(v) if t == 'string' then return '"' .. string.gsub(string.gsub(v, '[\\"]', '\\%0'), '[^ -~]', function(c) return string.format('\\%03d', string.byte(c)) end) .. '"'"#,
    r#" elseif t == 'number' then if v ~= v then return 'nan' end return string.format('%.17g', v)"#,
    r#" elseif t == 'table' then"#,
    r#" local o = {} for k, x in pairs(v) do o[#o + 1] = show(k) .. '=' .. show(x) end"#,
    r#" table.sort(o) return '{' .. table.concat(o, ', ') .. '}'"#,
    r#" elseif v == cjson.null then return 'null'"#,
    r#" elseif t == 'nil' or t == 'boolean' then return tostring(v) else return t end end"#,
    r#" local function run(...)"#,
    r#" local o = {} for i = 1, select('#', ...) do o[i] = show((select(i, ...))) end"#,
    r#" return table.concat(o, ' ') end"#,
    r#" local function nest(n, k) local t = {} for i = 2, n do t = {[k] = t} end return t end"#,
);

#[test]
fn every_expression_gives_what_redis_gives() {
    let lua = lua();
    let mut wrong = Vec::new();
    let mut rows = 0;
    let mut lines =
        ROWS.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"# "));
    while let Some(expression) = lines.next() {
        let expected = lines.next().and_then(|line| line.strip_prefix(b"    => ")).unwrap();
        let script = [PRELUDE.as_bytes(), b"\nreturn run(", expression, b")"].concat();
        let got = eval(&lua, &script).unwrap_or_else(|error| format!("FAILED {error}").into_bytes());
        rows += 1;
        if got != expected {
            let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            wrong.push(format!("{}\n    => {}\n   not {}", show(expression), show(expected), show(&got)));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 500);
}
