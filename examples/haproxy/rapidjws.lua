-- The action `lua.rapidjws URL`: asks the sidecar about a request. A permit sets the trusted headers, a refusal
-- is answered as it stands, and a sidecar that does not answer is 503: nothing passes undecided.

local HANDED_TO_CLIENT = { ["content-type"] = true, ["www-authenticate"] = true, ["retry-after"] = true,
                           ["cache-control"] = true, ["dpop-nonce"] = true }

-- the headers of [server.claim_headers]
local CLAIMS = { ["x-tenant"] = true, ["x-roles"] = true }

local function values(list)
  local found, at = {}, 0
  while list[at] ~= nil do
    found[#found + 1] = list[at]
    at = at + 1
  end
  return found
end

local function refuse(txn, status, headers, body)
  local reply = txn:reply()
  reply:set_status(status)
  for name, list in pairs(headers) do
    if HANDED_TO_CLIENT[name] then
      for _, value in ipairs(values(list)) do reply:add_header(name, value) end
    end
  end
  reply:set_body(body or "")
  txn:done(reply)
end

core.register_action("rapidjws", { "http-req" }, function(txn, url)
  local asked = { ["x-original-uri"] = { txn.f:pathq() }, ["x-original-method"] = { txn.f:method() } }
  for name, list in pairs(txn.http:req_get_headers()) do
    if name == "authorization" or name == "dpop" then asked[name] = values(list) end
  end
  local answer = core.httpclient():get({ url = url, headers = asked, timeout = 2000 })
  local status = answer and answer.status or 0
  if status == 401 or status == 403 then
    return refuse(txn, status, answer.headers, answer.body)
  elseif status ~= 200 then
    return refuse(txn, 503, { ["retry-after"] = { [0] = "5" } }, "")
  end
  for name, list in pairs(answer.headers) do
    if name:sub(1, 6) == "x-jws-" or CLAIMS[name] then txn.http:req_set_header(name, list[0]) end
  end
  for _, name in ipairs({ "warning", "deprecation", "sunset" }) do
    if answer.headers[name] then txn:set_var("txn.rapidjws_" .. name, answer.headers[name][0]) end
  end
end, 1)
