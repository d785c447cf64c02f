# Medians of the rounds, and the table: figure, ours, theirs, ratio, aim, met or missed.
# Input: an array of all results. $form: text or json.
def median: sort | if length % 2 == 1 then .[(length - 1) / 2] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def median_of(f): map(f | numbers) | if length > 0 then median else null end;
def digits: if . == null then "-" elif . >= 100 then round else (. * 100 | round / 100) end | tostring;

(group_by(.name) | map({key: .[0].name, value: {
    iops: median_of(.iops), mb_s: median_of(.mb_s), p50_us: median_of(.p50_us), p99_us: median_of(.p99_us),
    cpu_us: median_of(.cpu_us_per_op), cpu_gb: median_of(.cpu_s_per_gb), rss_kib: median_of(.rss_kib)}}) | from_entries) as $m
# better: "more" or "less", of ours/theirs against the aim; aim null: for information.
| def row($figure; $ours; $theirs; $aim; $better): {figure: $figure, ours: $ours, theirs: $theirs,
    ratio: (if $ours != null and $theirs != null and $theirs != 0 then $ours / $theirs else null end), aim: $aim}
    | .better = $better
    | .verdict = if .aim == null then "" elif .ratio == null then "not measured"
        elif ($better == "more" and .ratio >= .aim) or ($better == "less" and .ratio <= .aim) then "met" else "missed" end;
[
    (("read", "write") as $op | ([1, 1.0], [8, 2.5], [16, null], [32, 3.5]) as [$qd, $aim]
        | row("4K \($op) QD \($qd), IOPS: direct / libsmbclient"; $m["direct-\($op)-\($qd)"].iops; $m["lib-\($op)"].iops; $aim; "more")),
    (("read", "write") as $op | ([1, 1.0], [8, 2.5], [32, 3.5]) as [$qd, $aim]
        | row("4K \($op) QD \($qd), IOPS: direct / libsmbclient, signed as ours"; $m["direct-\($op)-\($qd)"].iops; $m["lib-signed-\($op)"].iops; $aim; "more")),
    row("1M read, MB/s: direct / libsmbclient, signed as ours"; $m["direct-seqread"].mb_s; $m["lib-signed-seqread"].mb_s; 1.5; "more"),
    row("1M read, MB/s: direct / libsmbclient"; $m["direct-seqread"].mb_s; $m["lib-seqread"].mb_s; 1.5; "more"),
    row("1M write, MB/s: direct / libsmbclient, signed as ours"; $m["direct-seqwrite"].mb_s; $m["lib-signed-seqwrite"].mb_s; null; "more"),
    row("1M write, MB/s: direct / libsmbclient"; $m["direct-seqwrite"].mb_s; $m["lib-seqwrite"].mb_s; null; "more"),
    (("read", "write") as $op | (1, 8, 32) as $qd
        | row("CPU µs per 4K \($op) QD \($qd): direct / libsmbclient"; $m["direct-\($op)-\($qd)"].cpu_us; $m["lib-\($op)"].cpu_us; 0.6; "less")),
    (("seqread", "seqwrite") as $op
        | row("CPU s per GB, \($op): direct / libsmbclient"; $m["direct-\($op)"].cpu_gb; $m["lib-\($op)"].cpu_gb; null; "less")),
    (("read", "write") as $op | (1, 8, 16, 32) as $qd
        | row("4K \($op) QD \($qd), IOPS: NBD / direct"; $m["nbd-\($op)-\($qd)"].iops; $m["direct-\($op)-\($qd)"].iops; 0.6; "more")),
    (("seqread", "seqwrite") as $op
        | row("1M \($op), MB/s: NBD / direct"; $m["nbd-\($op)"].mb_s; $m["direct-\($op)"].mb_s; 0.6; "more")),
    row("1M seqwrite, MB/s: NBD / direct that flushes as often"; $m["nbd-seqwrite"].mb_s; $m["direct-flushing-seqwrite"].mb_s; 0.6; "more"),
    # Ours and theirs here: what is left of the unencrypted figure when encrypted.
    (("read", "write") as $op | (1, 32) as $qd
        | row("encrypted/plain, 4K \($op) QD \($qd): direct, libsmbclient";
            ($m["direct-enc-\($op)-\($qd)"].iops / $m["direct-\($op)-\($qd)"].iops); ($m["lib-enc-\($op)"].iops / $m["lib-\($op)"].iops); 1.0; "more")),
    (("seqread", "seqwrite") as $op
        | row("encrypted/plain, 1M \($op): direct, libsmbclient";
            ($m["direct-enc-\($op)"].mb_s / $m["direct-\($op)"].mb_s); ($m["lib-enc-\($op)"].mb_s / $m["lib-\($op)"].mb_s); 1.0; "more")),
    (("direct", "nbd") as $how
        | row("durable 4K QD 16, IOPS: \($how) / libsmbclient, sync always"; $m["\($how)-durable-16"].iops; $m["lib-sync-write"].iops; 3.0; "more")),
    (("read", "write") as $op | (1, 8, 32) as $qd
        | row("4K \($op) QD \($qd), IOPS: nbdkit / direct"; $m["bridge-\($op)-\($qd)"].iops; $m["direct-\($op)-\($qd)"].iops; null; "more")),
    (("seqread", "seqwrite") as $op
        | row("1M \($op), MB/s: nbdkit / direct"; $m["bridge-\($op)"].mb_s; $m["direct-\($op)"].mb_s; null; "more")),
    (("read", "write") as $op | (1, 8, 32) as $qd
        | row("CPU µs per 4K \($op) QD \($qd): NBD / nbdkit"; $m["nbd-\($op)-\($qd)"].cpu_us; $m["bridge-\($op)-\($qd)"].cpu_us; null; "less")),
    (("read", "write") as $op | (1, 32) as $qd
        | row("4K \($op) QD \($qd), IOPS: NBD / nbdkit file on the server"; $m["nbd-\($op)-\($qd)"].iops; $m["file-\($op)-\($qd)"].iops; null; "more")),
    (("read", "write") as $op
        | row("4K \($op) QD 32 encrypted, IOPS: NBD / direct"; $m["nbd-enc-\($op)-32"].iops; $m["direct-enc-\($op)-32"].iops; null; "more")),
    row("1M read, MB/s: direct / smbclient get"; $m["direct-seqread"].mb_s; $m["smbclient-get"].mb_s; null; "more"),
    row("1M write, MB/s: direct / smbclient put"; $m["direct-seqwrite"].mb_s; $m["smbclient-put"].mb_s; null; "more"),
    row("1M read, MB/s: NBD / nbdkit file on the server"; $m["nbd-seqread"].mb_s; $m["file-seqread"].mb_s; null; "more"),
    row("flush µs: direct / nbdkit file on the server"; $m["direct-flush"].p50_us; $m["file-flush"].p50_us; null; "less"),
    row("flush µs: NBD / nbdkit file on the server"; $m["nbd-flush"].p50_us; $m["file-flush"].p50_us; null; "less"),
    row("p50 µs, 4K read QD 1: direct / libsmbclient"; $m["direct-read-1"].p50_us; $m["lib-read"].p50_us; null; "less"),
    row("p99 µs, 4K read QD 1: direct / libsmbclient"; $m["direct-read-1"].p99_us; $m["lib-read"].p99_us; null; "less"),
    row("RSS KiB: direct QD 32 / libsmbclient"; $m["direct-read-32"].rss_kib; $m["lib-read"].rss_kib; null; "less"),
    row("RSS KiB: drover-store / nbdkit"; $m["nbd-read-32"].rss_kib; $m["bridge-read-32"].rss_kib; null; "less")
]
| if $form == "json" then {rows: ., medians: $m}
  else "figure|ours|theirs|ratio|aim|",
    (.[] | "\(.figure)|\(.ours | digits)|\(.theirs | digits)|\(.ratio | digits)|\(if .aim == null then "-" elif .better == "less" then "≤ \(.aim)" else "≥ \(.aim)" end)|\(.verdict)")
  end
