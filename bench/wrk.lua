-- One script for every run: what to send comes from the environment, what happened goes out as one line of JSON.
if os.getenv("BENCH_HEADERS") then dofile(os.getenv("BENCH_HEADERS")) end
if os.getenv("BENCH_BLOCK") then wrk.headers["Slime-Block"] = "1" end
if os.getenv("BENCH_POST_BYTES") then
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(os.getenv("BENCH_POST_BYTES")))
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nBENCH {"requests":%d,"bytes":%.0f,"us":%d,"p50Us":%.0f,"p99Us":%.0f,"maxUs":%.0f,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
