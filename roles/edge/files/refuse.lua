-- Answers a request the edge refuses, once its body has come in: HAProxy's own `return` closes the
-- connection under a client that still sends, which then sees a broken connection and no answer.
-- The answer is in txn.answer, as "STATUS RETRY-AFTER BODY"; 0 seconds for no Retry-After.
local BYTES = tonumber(os.getenv("PPOCR_REFUSED_BYTES")) -- of a body that are taken in
local SECONDS = tonumber(os.getenv("PPOCR_REFUSED_SECONDS")) -- for which they are
local PART = 1024 -- bytes; receive() waits for this much, however slowly it comes

local function take_in(applet)
    local deadline, taken = core.now().sec + SECONDS, 0
    repeat
        local part = applet:receive(PART)
        taken = taken + #part
    until #part < PART or taken > BYTES or core.now().sec > deadline
end

core.register_service("refuse", "http", function(applet)
    local status, retry_after, body = applet:get_var("txn.answer"):match("^(%d+) (%d+) (.*)$")
    if not applet.headers["expect"] then -- else the client waits for the answer, and sends nothing
        take_in(applet)
    end
    applet:set_status(tonumber(status))
    applet:add_header("Content-Type", "application/json")
    applet:add_header("Content-Length", tostring(#body))
    if status == "401" then
        applet:add_header("WWW-Authenticate", "Bearer")
    end
    if retry_after ~= "0" then
        applet:add_header("Retry-After", retry_after)
    end
    applet:start_response()
    applet:send(body)
end)
