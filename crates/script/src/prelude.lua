-- Makes the environment of scripts: what they see is read-only, and nothing that they do outlasts them.
-- Runs once in each interpreter. Everything below is local: a script cannot change what it does not see.
local native, shown = ...

local real_error, real_pcall, real_xpcall = error, pcall, xpcall
local real_getmetatable, real_setmetatable, real_setfenv = getmetatable, setmetatable, setfenv
local real_loadstring, real_next, real_rawget, real_rawset = loadstring, next, rawget, rawset
local real_insert, real_collectgarbage, real_resume = table.insert, collectgarbage, coroutine.resume
local select, concat, sub, tonumber, tostring, type = select, table.concat, string.sub, tonumber, tostring, type

local ceil, max = math.ceil, math.max
local real_remove, real_sort, spend = table.remove, table.sort, native.tables.spend

-- Elements that are moved without being counted, and what collecting a kilobyte takes in steps.
local MOVED_FREELY, COLLECT_STEPS = 64, 16

local function spend_move(count)
  if count > MOVED_FREELY then
    spend(count / 2)
  end
end

local OUT_OF_MEMORY = "not enough memory"

-- Like `error`, with the place of whoever called the function that complains, even if that was its last act.
local function fail(message, level)
  real_error(native.where(level + 1) .. message, 0)
end

-- Read-only tables, and what is behind them.
local behind = real_setmetatable({}, { __mode = "k" })

local function refuse()
  fail("Attempt to modify a readonly table", 2)
end

-- The same, for what is not done by a line of the script itself.
local function refuse_plainly()
  native.refuse()
end

local function shield(table, missing)
  if missing then
    real_setmetatable(table, { __index = missing })
  end
  local view = { __index = table, __newindex = refuse, __metatable = false }
  local shown = real_setmetatable({}, view)
  behind[shown] = table
  return shown, view
end

local nothing = shield({})

-- Complains about an argument like Lua's own functions, of which the ones below are in front.
local function expect(kind, value, at, name)
  if type(value) ~= kind and not (kind == "number" and tonumber(value)) then
    fail("bad argument #" .. at .. " to '" .. name .. "' (" .. kind .. " expected, got " .. type(value) .. ")", 3)
  end
end

-- What a script catches. What the server raises is userdata on its way.
local function caught(err)
  if type(err) == "userdata" then
    err = native.caught(err)
  end
  if err == OUT_OF_MEMORY then
    native.out_of_memory()
  end
  return err
end

local function settle(ok, ...)
  if ok then
    return ok, ...
  end
  return false, caught((...))
end

-- As `settle`, and of an error of a command only its message, as `pcall` always had it.
local function settle_plainly(ok, ...)
  if ok then
    return ok, ...
  end
  local err = caught((...))
  if type(err) == "table" then
    local message = real_rawget(behind[err] or err, "err")
    if type(message) == "string" or type(message) == "number" then
      err = message
    end
  end
  return false, err
end

-- The error of a script with the place where it happened: the innermost line of its own.
local function handler(err)
  err = caught(err)
  if err == OUT_OF_MEMORY then
    return err
  elseif type(err) ~= "table" then
    err = { err = "ERR " .. tostring(err) }
  elseif behind[err] then
    err = {}
  end
  local source, line = native.place()
  if source then
    real_rawset(err, "source", source)
    real_rawset(err, "line", line)
  end
  return err
end

local globals = {}
for _, name in real_next, {
  "assert", "error", "gcinfo", "ipairs", "next", "rawequal", "select", "tonumber", "tostring", "type", "unpack",
  "_VERSION",
} do
  globals[name] = _G[name]
end

local function missing(_, name)
  fail("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local environment, view = shield(globals, missing)
globals._G = environment

function globals.pcall(f, ...)
  return settle_plainly(real_pcall(f, ...))
end

function globals.xpcall(f, on_error)
  if on_error == nil then
    fail("bad argument #2 to 'xpcall' (value expected)", 2)
  end
  return real_xpcall(f, function(err)
    -- Nobody counts the steps of what handles the end of a script.
    if native.is_stopped() then
      return err
    end
    return on_error(caught(err))
  end)
end

function globals.getmetatable(value)
  if behind[value] then
    return value == environment and nothing or nil
  end
  if type(value) == "string" then
    return shown.string_metatable
  end
  return real_getmetatable(value)
end

function globals.setmetatable(table, metatable)
  if behind[table] then
    refuse_plainly()
  end
  expect("table", table, 1, "setmetatable")
  if metatable ~= nil and type(metatable) ~= "table" then
    fail("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  if not real_pcall(real_setmetatable, table, metatable) then
    fail("cannot change a protected metatable", 2)
  end
  return table
end

function globals.rawset(table, key, value)
  if behind[table] then
    refuse_plainly()
  end
  return real_rawset(table, key, value)
end

function globals.rawget(table, key)
  return real_rawget(behind[table] or table, key)
end

function globals.next(table, key)
  return real_next(behind[table] or table, key)
end

function globals.pairs(table)
  local real = behind[table]
  if real then
    return function(_, key) return real_next(real, key) end, table, nil
  end
  expect("table", table, 1, "pairs")
  return real_next, table, nil
end

function globals.loadstring(code, name)
  expect("string", code, 1, "loadstring")
  if sub(code, 1, 1) == "\27" then
    return nil, "precompiled code is not loaded"
  end
  -- Two steps are about what a byte takes.
  spend(#code * 2)
  local loaded, err = real_loadstring(code, name)
  if loaded then
    real_setfenv(loaded, environment)
  end
  return loaded, err
end

function globals.load(reader, name)
  expect("function", reader, 1, "load")
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      break
    end
    pieces[#pieces + 1] = piece
  end
  return globals.loadstring(concat(pieces), name or "=(load)")
end

function globals.collectgarbage(option, argument)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    if option ~= "count" then
      spend(real_collectgarbage("count") * COLLECT_STEPS)
    end
    return real_collectgarbage(option, argument)
  end
  -- What would change how the server works from then on.
  return 0
end

local function copy(from)
  local to = {}
  for key, value in real_next, from do
    to[key] = value
  end
  return to
end

-- Patterns are the server's own: their steps are counted, and they end when the script is stopped.
local strings = copy(string)
local find_next, substitute, texts = native.strings.next_match, native.strings.gsub, native.strings.texts
for _, name in real_next, { "find", "match", "rep", "lower", "upper", "reverse" } do
  strings[name] = native.strings[name]
end

function strings.gmatch(...)
  local text, pattern = ...
  if type(text) ~= "string" or type(pattern) ~= "string" then
    text, pattern = texts(...)
  end
  local from = 1
  local function advance(start, stop, ...)
    if start then
      from = stop < start and start + 1 or stop + 1
      return ...
    end
    from = #text + 2
    return nil
  end
  return function()
    return advance(find_next(text, pattern, from, true))
  end
end
strings.gfind = strings.gmatch

-- What a match is replaced by.
local function called(f, start, stop, ...)
  if start then
    return start, stop, (f(...))
  end
end
local function looked_up(table, start, stop, key)
  if start then
    return start, stop, table[key]
  end
end

function strings.gsub(...)
  local text, pattern, replacement, max = ...
  local kind = type(replacement)
  if kind ~= "function" and kind ~= "table" then
    local replaced, count = substitute(...)
    return replaced, count
  end
  if type(text) ~= "string" or type(pattern) ~= "string" or max ~= nil then
    text, pattern, max = texts(...)
  end
  local replace = kind == "function" and called or looked_up
  local pieces, size, count, from, copied = {}, 0, 0, 1, 1
  while not max or count < max do
    local start, stop, piece = replace(replacement, find_next(text, pattern, from))
    if not start then
      break
    end
    count = count + 1
    if piece then
      kind = type(piece)
      if kind ~= "string" and kind ~= "number" then
        real_error("invalid replacement value (a " .. kind .. ")", 2)
      end
      pieces[size + 1] = sub(text, copied, start - 1)
      pieces[size + 2] = piece
      size, copied = size + 2, stop + 1
    end
    from = stop < start and start + 1 or stop + 1
  end
  if size == 0 then
    return text, count
  end
  pieces[size + 1] = sub(text, copied)
  return concat(pieces), count
end

globals.string = shield(strings)
-- `("x"):upper()` finds what `string.upper` is, and no script changes it for others.
real_setmetatable(strings, nil)
real_rawset(real_getmetatable(""), "__index", strings)
shown.string_metatable = shield({ __index = globals.string })

local tables = copy(table)
tables.concat = native.tables.concat

-- Complains like Lua's own functions about arguments of those that are in front of them.
local check = native.tables.check

function tables.insert(...)
  local table, at = ...
  local count = select("#", ...)
  if behind[table] then
    refuse_plainly()
  end
  if type(table) ~= "table" or count ~= 2 then
    check.insert(...)
    local length = #table
    at = tonumber(at)
    if not (at >= 1 and at < 2 ^ 31) then
      -- There may be any number of places before the first.
      at = at < 0 and ceil(at) or at - at % 1
      for to = length + 1, at + 1, -1 do
        real_rawset(table, to, real_rawget(table, to - 1))
      end
      real_rawset(table, at, (select(3, ...)))
      return
    end
    spend_move(length - at)
  end
  return real_insert(...)
end

function tables.remove(...)
  local table, at = ...
  if type(table) ~= "table" or at ~= nil then
    check.remove(...)
    if at then
      spend_move(#table - max(tonumber(at), 0))
    end
  end
  return real_remove(...)
end

function tables.sort(...)
  check.sort(...)
  local table, precedes = ...
  if precedes == nil then
    native.tables.spend_sort(table)
  end
  return real_sort(table, precedes)
end

function tables.maxn(...)
  check.maxn(...)
  local max = 0
  for key in real_next, (...) do
    if type(key) == "number" and key > max then
      max = key
    end
  end
  return max
end

function tables.foreach(...)
  check.foreach(...)
  local table, f = ...
  for key, value in real_next, table do
    local result = f(key, value)
    if result ~= nil then
      return result
    end
  end
end

function tables.foreachi(...)
  check.foreachi(...)
  local table, f = ...
  for at = 1, #table do
    local result = f(at, real_rawget(table, at))
    if result ~= nil then
      return result
    end
  end
end
globals.table = shield(tables)

local maths = copy(math)

local function checked(number, err)
  if err then
    fail(err, 3)
  end
  return number
end

function maths.random(...)
  if select("#", ...) > 2 then
    fail("wrong number of arguments", 2)
  end
  for at = 1, select("#", ...) do
    expect("number", (select(at, ...)), at, "random")
  end
  return (checked(native.random(...)))
end

function maths.randomseed(seed)
  expect("number", seed, 1, "randomseed")
  native.randomseed(seed)
end
globals.math = shield(maths)

local coroutines = copy(coroutine)
function coroutines.resume(...)
  return settle(real_resume(...))
end
globals.coroutine = shield(coroutines)

globals.os = shield({ clock = os.clock })
for name, library in real_next, shown.libraries do
  globals[name] = shield(library)
end

-- The server cannot take any number of arguments as such: it holds on to each, and has only so many hands.
local ARGUMENTS_MAX = 4096

local redis = native.redis
for name, f in real_next, redis do
  if type(f) == "function" then
    redis[name] = function(...)
      if select("#", ...) > ARGUMENTS_MAX then
        fail("too many arguments to '" .. name .. "'", 2)
      end
      return f(...)
    end
  end
end

function redis.call(...)
  local count = select("#", ...)
  local reply, is_error
  if count > ARGUMENTS_MAX then
    reply, is_error = native.call_many({ ... }, count)
  else
    reply, is_error = native.call(...)
  end
  if is_error then
    real_error(reply)
  end
  return reply
end

function redis.pcall(...)
  local count = select("#", ...)
  if count > ARGUMENTS_MAX then
    return native.try_many({ ... }, count)
  end
  return native.try(...)
end

-- What a library sees while it is loaded: how it says what it has.
local registers = {}
for _, name in real_next, {
  "register_function", "log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION",
  "REDIS_VERSION_NUM",
} do
  registers[name] = redis[name]
end
local at_load = real_setmetatable({ redis = shield(registers, missing) }, { __index = missing })

redis.register_function = nil
globals.redis = shield(redis)

local inside = {}

-- A function made of code, or nothing and why not.
function inside.compile(code, name)
  local compiled, err = real_loadstring(code, name)
  if compiled then
    real_setfenv(compiled, environment)
  end
  return compiled, err
end

-- Runs a script. Says whether it went well, and what it returns or fails with.
function inside.eval(script, keys, arguments)
  globals.KEYS, globals.ARGV = keys, arguments
  local ok, value = real_xpcall(script, handler)
  return ok, value
end

-- Runs a function of a library.
function inside.invoke(callback, keys, arguments)
  globals.KEYS, globals.ARGV = nil, nil
  -- A tail call: whoever asks who called the function is told of nobody.
  local ok, value = real_xpcall(function() return callback(keys, arguments) end, handler)
  return ok, value
end

-- Runs the code of a library, which registers its functions.
function inside.load(library)
  view.__index = at_load
  local ok, value = real_xpcall(library, handler)
  view.__index = globals
  return ok, value
end

return inside
