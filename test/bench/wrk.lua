-- The host of the URL is the SNI and need not resolve: every contender listens on loopback.
wrk.resolve = function(_, service)
  wrk.addrs = wrk.lookup("127.0.0.1", service)
end

function init(args)
  if args[1] ~= "many" then return end
  local count = 0
  request = function()
    count = count + 1
    return wrk.format(nil, wrk.path .. count)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
