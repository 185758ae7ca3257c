-- reason: _ENV is a local like others: it changes names, not grants
-- run: tool
-- expect: error: nil value
return function()
  for _, _ENV in pairs({ { os = false } }) do return http_client.get("http://x/") end
end
