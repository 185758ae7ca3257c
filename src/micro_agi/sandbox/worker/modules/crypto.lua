-- Random values, authenticated encryption, signed tokens, key derivation.
-- Source: spec/runtime.md 6.6. HMAC takes the key first here, unlike `hash`.

local core = ...

local type, next, rawget, pcall, error, tostring = type, next, rawget, pcall, error, tostring
local byte, find, format, gmatch, gsub, match, rep, sub = string.byte, string.find, string.format, string.gmatch, string.gsub, string.match, string.rep, string.sub
local number_type, floor = math.type, math.floor
local fail, check_string, check_integer = core.fail, core.check_string, core.check_integer

local MAX_RANDOM = 1 << 20
local MAX_ITERATIONS = 10000000
local SECOND = 1000000000
local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

local draw, pick = core.accelerator("crypto_draw"), core.accelerator("crypto_pick")
local encrypt, decrypt = core.accelerator("crypto_encrypt"), core.accelerator("crypto_decrypt")
local derive, same = core.accelerator("crypto_derive"), core.accelerator("crypto_same")
local rsa_sign, rsa_verify = core.accelerator("crypto_sign"), core.accelerator("crypto_verify")
local base64_encode, base64_decode = core.accelerator("base64_encode"), core.accelerator("base64_decode")

local function invalid(message) return nil, fail("Invalid", message) end
local function internal(message) return nil, fail("Internal", message) end

local function equal(a, b) return same(a, b) == "V" end

local function optional_string(value, position, method)
  if value == nil then return "" end
  return check_string(value, position, method)
end

------------------------------------------------------------------------------------- random
local random = {}

local function length_problem(count)
  if count <= 0 then return "length must be a positive integer" end
  if count > MAX_RANDOM then return "length exceeds maximum allowed size (1MB)" end
end

function random.bytes(count)
  count = check_integer(count, 1, "bytes")
  local problem = length_problem(count)
  if problem then return invalid(problem) end
  return draw(format("%d", count)), nil
end

function random.string(count, charset)
  count = check_integer(count, 1, "string")
  charset = charset == nil and LETTERS or check_string(charset, 2, "string")
  local problem = length_problem(count)
  if problem then return invalid(problem) end
  if charset == "" then return invalid("charset cannot be empty") end
  return pick(format("%d", count), charset), nil
end

function random.uuid() return core.uuid.v4() end

--------------------------------------------------------------------------------------- hmac
local hmac, signers = {}, {}

for _, name in next, { "sha256", "sha384", "sha512" } do
  signers[name] = core.accelerator("hmac_" .. name)
end

for _, name in next, { "sha256", "sha512" } do
  local sign = signers[name]
  hmac[name] = function(key, data)
    key, data = check_string(key, 1, name), check_string(data, 2, name)
    if key == "" then return invalid("key cannot be empty") end
    return (gsub(sign(data, key), ".", function(one) return format("%02x", byte(one)) end)), nil
  end
end

------------------------------------------------------------------------------------ ciphers
local encryption, decryption = {}, {}

local CIPHERS = {
  aes = { lengths = { [16] = true, [24] = true, [32] = true }, problem = "key must be 16, 24, or 32 bytes" },
  chacha20 = { lengths = { [32] = true }, problem = "key must be 32 bytes" },
}

for name, cipher in next, CIPHERS do
  encryption[name] = function(data, key, associated)
    data, key = check_string(data, 1, name), check_string(key, 2, name)
    associated = optional_string(associated, 3, name)
    if not cipher.lengths[#key] then return invalid(cipher.problem) end
    return encrypt(name, data, key, associated), nil
  end
  decryption[name] = function(data, key, associated)
    data, key = check_string(data, 1, name), check_string(key, 2, name)
    associated = optional_string(associated, 3, name)
    if not cipher.lengths[#key] then return invalid(cipher.problem) end
    if #data < 12 then return invalid("encrypted data too short") end
    local found = decrypt(name, data, key, associated)
    if sub(found, 1, 1) == "V" then return sub(found, 2), nil end
    return internal("decryption failed: wrong key, wrong aad or changed data")
  end
end

---------------------------------------------------------------------------------------- jwt
local jwt = {}

local ALGORITHMS = { HS256 = "sha256", HS384 = "sha384", HS512 = "sha512", RS256 = "rsa" }

local function algorithm_of(value, position, method)
  local name = value == nil and "HS256" or check_string(value, position, method)
  -- As the documents have it: an unknown name means the default.
  return ALGORITHMS[name] and name or "HS256"
end

local function url_encode(bytes)
  return (gsub(gsub(base64_encode(bytes), "=+$", ""), "[+/]", { ["+"] = "-", ["/"] = "_" }))
end

-- The bytes of a part of a token, or nil.
local function url_decode(text)
  if find(text, "[^%w_-]") then return nil end
  local padded = gsub(text, "[-_]", { ["-"] = "+", ["_"] = "/" }) .. rep("=", -#text % 4)
  local found = base64_decode(padded)
  if byte(found) ~= 1 then return nil end
  return sub(found, 2)
end

-- What is wrong with a key, whatever the token says.
local function key_problem(key, algorithm)
  if key == "" then return "key cannot be empty" end
  -- Whoever knows a public key could sign with it, if it were taken as a shared secret.
  if algorithm ~= "RS256" and find(key, "-----BEGIN", 1, true) then
    return "a PEM key cannot be the secret of " .. algorithm .. "; pass the algorithm \"RS256\""
  end
end

local function json_object(map)
  if next(map) == nil then return "{}", nil end
  local text, problem = core.json.encode(map)
  if problem then return nil, problem end
  if sub(text, 1, 1) ~= "{" then return invalid("claims and header must have names, not positions") end
  return text, nil
end

local function copy_into(target, source)
  for key, value in next, source do target[key] = value end
  return target
end

function jwt.encode(payload, key, algorithm)
  core.check_table(payload, 1, "encode")
  key, algorithm = check_string(key, 2, "encode"), algorithm_of(algorithm, 3, "encode")
  local problem = key_problem(key, algorithm)
  if problem then return invalid(problem) end
  local header, claims = { alg = algorithm, typ = "JWT" }, copy_into({}, payload)
  local extra = rawget(payload, "_header")
  claims._header = nil
  if core.type_of(extra) == "table" then
    copy_into(header, extra)
    -- Anything else here would make a token that its own key cannot verify.
    header.alg = algorithm
  end
  local header_text, claims_text
  header_text, problem = json_object(header)
  if problem then return nil, problem end
  claims_text, problem = json_object(claims)
  if problem then return nil, problem end
  local signed = url_encode(header_text) .. "." .. url_encode(claims_text)
  if algorithm ~= "RS256" then return signed .. "." .. url_encode(signers[ALGORITHMS[algorithm]](signed, key)), nil end
  local found = rsa_sign(signed, key)
  if sub(found, 1, 1) ~= "V" then return invalid("invalid RSA private key: " .. sub(found, 2)) end
  return signed .. "." .. url_encode(sub(found, 2)), nil
end

-- Whether the signature holds; else what is wrong, and the kind of that.
local function signature_problem(signed, signature, key, algorithm)
  if algorithm ~= "RS256" then
    if equal(signers[ALGORITHMS[algorithm]](signed, key), signature) then return nil end
    return "signature is invalid", "Internal"
  end
  local found = rsa_verify(signed, signature, key)
  local code = sub(found, 1, 1)
  if code == "V" then return nil end
  if code == "K" then return "invalid RSA public key: " .. sub(found, 2), "Invalid" end
  return "signature is invalid", "Internal"
end

-- Integral numbers as integers, so that `"exp " .. claims.exp` reads as it was written.
local function integral(value)
  if number_type(value) == "float" and value == floor(value) and value > -2.0 ^ 63 and value < 2.0 ^ 63 then
    return floor(value)
  end
  if type(value) == "table" then
    for key, inner in next, value do value[key] = integral(inner) end
  end
  return value
end

local function time_problem(claims, require_exp)
  local now = core.now() / SECOND
  for _, name in next, { "exp", "nbf" } do
    local value = claims[name]
    if value ~= nil and type(value) ~= "number" then return "token has an invalid " .. name .. " claim: a number is expected" end
  end
  if claims.exp == nil and require_exp then
    return "token has no exp claim; pass false as the fourth argument to accept that"
  end
  if claims.exp and now >= claims.exp then return "token is expired" end
  if claims.nbf and now < claims.nbf then return "token is not valid yet" end
end

-- A part of a token as a table of names, or nil.
local function part_of(text)
  local bytes = url_decode(text)
  if not bytes or not match(bytes, "^%s*{") then return nil end
  local value = core.json.decode(bytes)
  return value
end

function jwt.verify(token, key, algorithm, require_exp)
  token, key = check_string(token, 1, "verify"), check_string(key, 2, "verify")
  algorithm = algorithm_of(algorithm, 3, "verify")
  if require_exp == nil then require_exp = true end
  if type(require_exp) ~= "boolean" then core.argument_error(4, "verify", "boolean", require_exp) end
  local problem = key_problem(key, algorithm)
  if problem then return invalid(problem) end
  local header_text, claims_text, signature_text = match(token, "^([^.]+)%.([^.]*)%.([^.]*)$")
  if not header_text then return internal("token is malformed: three parts are expected") end
  local header, signature = part_of(header_text), url_decode(signature_text)
  if not header or not signature then return internal("token is malformed") end
  if header.alg ~= algorithm then
    return internal("token is signed with " .. core.plain_text(header.alg) .. ", " .. algorithm .. " is expected")
  end
  if header.crit ~= nil then return internal("token has critical header fields, which are not supported") end
  local kind
  problem, kind = signature_problem(header_text .. "." .. claims_text, signature, key, algorithm)
  if problem then return nil, fail(kind, problem) end
  local claims = part_of(claims_text)
  if not claims then return internal("token is malformed: the claims are no JSON object") end
  problem = time_problem(claims, require_exp)
  if problem then return internal(problem) end
  return integral(claims), nil
end

-------------------------------------------------------------------------------- derivation
local crypto = {
  random = core.freeze(random), hmac = core.freeze(hmac), jwt = core.freeze(jwt),
  encrypt = core.freeze(encryption), decrypt = core.freeze(decryption),
}

function crypto.pbkdf2(password, salt, iterations, length, digest)
  password, salt = check_string(password, 1, "pbkdf2"), check_string(salt, 2, "pbkdf2")
  iterations, length = check_integer(iterations, 3, "pbkdf2"), check_integer(length, 4, "pbkdf2")
  digest = digest == nil and "sha256" or check_string(digest, 5, "pbkdf2")
  if password == "" then return invalid("password cannot be empty") end
  if salt == "" then return invalid("salt cannot be empty") end
  if iterations <= 0 then return invalid("iterations must be positive") end
  if iterations > MAX_ITERATIONS then return invalid("iterations exceeds maximum (10000000)") end
  if length <= 0 then return invalid("key length must be positive") end
  if length > MAX_RANDOM then return invalid("key length exceeds maximum (1048576)") end
  if digest ~= "sha256" and digest ~= "sha512" then return invalid("unsupported hash function: " .. digest) end
  return derive(password, salt, format("%d", iterations), format("%d", length), digest), nil
end

function crypto.constant_time_compare(a, b)
  return equal(check_string(a, 1, "constant_time_compare"), check_string(b, 2, "constant_time_compare"))
end

return crypto
