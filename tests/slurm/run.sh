#!/usr/bin/env bash
# `make test-slurm`: a study through profiles/slurm on a real Slurm of one node that is set up here
# and taken down again, compared byte for byte with the same study run without a cluster.
#   run.sh              tests/slurm/study.yaml; on the way one job is cancelled, one runs past its
#                       time limit, and the node is drained while jobs wait. 15 minutes on a machine
#                       with a load of 8; a few on an idle one.
#   run.sh quickstart   config/quickstart.yaml, undisturbed, in groups:
#                       `make test-slurm SLURM=quickstart`
# It needs root and installs Debian packages, which stay: meant for CI and containers. Nothing else
# stays, however it ends.
# Exit status 77: it cannot run here, and says why. KEEP=1 leaves the working folder (runs, Slurm's
# logs) behind.
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/.venv/bin/python

cannot() { # 77: neither passed nor failed
    echo "cannot run: $*" >&2
    exit 77
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
say() { echo "[$(printf '%3d' $SECONDS) s] $*"; }

case ${1-} in
'') config=study.yaml ;;
quickstart) config=config/quickstart.yaml ;;
*) echo "usage: run.sh [quickstart]" >&2 && exit 2 ;;
esac

# ---- what must be there --------------------------------------------------------------------------

[ -x "$python" ] || cannot "there is no .venv: \`make setup\` makes it"
[ "$(id -u)" = 0 ] || cannot "Slurm's daemons are set up as root, and this is user $(id -un)"
[ ! -e /dev/nvidiactl ] ||
    cannot "this machine has a GPU, and the same bits are promised on a CPU only"
if grep -qs "^# Made by tests/slurm/cluster.sh" /etc/slurm/slurm.conf; then
    cannot "another \`make test-slurm\` runs here, or was killed outright; if so:" \
        "bash tests/slurm/cluster.sh down" \
        "$(sed -n 's|^StateSaveLocation=\(.*\)/state$|\1|p' /etc/slurm/slurm.conf)"
fi
if [ -e /etc/slurm/slurm.conf ] || [ -e /etc/slurm/gres.conf ] ||
    pgrep -x slurmctld >/dev/null || pgrep -x slurmd >/dev/null; then
    cannot "this machine has a Slurm already (a file in /etc/slurm or a running daemon)," \
        "which is left alone"
fi

# From here on there is something to take away. Everything that is started here has $work/tmp as its
# TMPDIR, and nothing else has.
work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/tmp"
run_pid='' local_pid=''
ours() { grep -lzxF "TMPDIR=$work/tmp" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
finish() {
    local status=$? pid
    trap - EXIT ERR
    trap '' INT TERM HUP PIPE # no second Ctrl-C half-way
    # Snakemake first, each with its children: it would submit again what the cluster's end cancels.
    for pid in $run_pid $local_pid; do kill -KILL -- "-$pid" 2>/dev/null || true; done
    bash "$here/cluster.sh" down "$work/slurm" || true
    # What a controller that died could not cancel.
    for pid in $(ours); do kill -KILL "$pid" 2>/dev/null || true; done
    if [ "$status" != 0 ] && [ -e "$work/cluster.log" ]; then
        echo "--- the end of the cluster run's output:" >&2
        tail -n 25 "$work/cluster.log" >&2 || true
    fi
    if [ "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP PIPE
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR

for tool in slurmctld slurmd sbatch munged; do
    command -v "$tool" >/dev/null && continue
    command -v apt-get >/dev/null ||
        cannot "$tool is missing, and there is no apt-get to install it with"
    say "installing Slurm"
    export DEBIAN_FRONTEND=noninteractive
    packages=(slurmctld slurmd slurm-client munge)
    {
        apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"
    } >"$work/apt.log" 2>&1 ||
        cannot "apt-get could not install ${packages[*]}: $(tail -n 1 "$work/apt.log")"
    break
done

# The plugin asks the controller whenever it is imported, 10 s where none answers: it stays out of
# .venv. The lock's versions are kept to.
say "installing the plugin beside the environment"
requirement=$("$python" -c 'import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*project["optional-dependencies"]["slurm"])' "$root/pyproject.toml")
# shellcheck disable=SC2086  # a list of requirements, one word each
"$python" -m uv pip install --quiet --python "$python" --target "$work/plugins" \
    --constraint "$root/requirements.lock" $requirement 2>"$work/uv.log" ||
    cannot "the plugin could not be installed ($requirement): $(tail -n 1 "$work/uv.log")"

for copy in local cluster; do # of the working tree as it is, committed or not
    mkdir "$work/$copy"
    (cd "$root" && cp -R Snakefile config distillery envs profiles workflow "$work/$copy/")
    cp "$here/study.yaml" "$work/$copy/"
done

say "starting Slurm"
TMPDIR=$work/tmp bash "$here/cluster.sh" up "$work/slurm"

# ---- the two runs, side by side ------------------------------------------------------------------

# In a copy, as the head of a process group that $! names; with caches of its own, which go with the
# folder.
snakemake() {
    cd "$work/$1" && shift
    export TMPDIR=$work/tmp XDG_CACHE_HOME=$work/cache
    exec setsid "$python" -m snakemake --configfile "$config" "$@"
}
groups=(evaluate_synthetic=evaluate) components=(evaluate=3)
if [ "$config" = config/quickstart.yaml ]; then
    groups=(
        distill=distill
        evaluate_synthetic=measure evaluate_robust=measure continual_memory=measure
    )
    components=(distill=5 measure=10)
fi
say "starting both runs"
(snakemake local --cores 1) >"$work/local.log" 2>&1 &
local_pid=$!
# Status checks at once rather than after 40 s, and short jobs in groups: the rest is as on any
# cluster.
(PYTHONPATH=$work/plugins snakemake cluster --profile profiles/slurm \
    --slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1 \
    --groups "${groups[@]}" --group-components "${components[@]}") >"$work/cluster.log" 2>&1 &
run_pid=$!

# A late answer is asked for again.
jobs() { squeue --noheader --states=all --format='%i|%T|%l|%m|%k' 2>/dev/null || true; }
job() { # the number of the job with a comment that is in a state
    jobs | awk -F'|' -v state="$2" -v comment="$1" '$2 == state && $5 == comment {print $1}' |
        tail -n 1
}
count() { jobs | awk -F'|' -v state="$1" '$2 == state' | wc -l; }
until_true() { # what, limit in seconds, command...
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@"; do
        jobs >>"$work/history"
        kill -0 "$run_pid" 2>/dev/null || fail "the cluster run ended before: $what"
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $what"
        sleep 0.5
    done
}

# Only a hanging test waits as long as this; a busy machine may need a multiple of the usual time
# for any of the steps.
patience=1200
first=rule_distill_wildcards_digits_dc_real_1_0 second=rule_distill_wildcards_digits_dc_real_1_1
logs=$work/cluster/results/logs/distill/digits/dc/real/ipc1

computes() { [ -n "$(job $first RUNNING)" ] && grep -qs 'threads$' "$logs/seed0.log"; }
drained() {
    [ "$(sinfo --noheader --format=%T)" = drained ] &&
        [ "$(count PENDING)" -gt 0 ] && [ "$(count RUNNING)" = 0 ]
}
timed_out() { [ -n "$(job $second TIMEOUT)" ]; }
# Halt the process that computes in the first attempt at DC's second job, so that it meets its time
# limit on a machine of any speed; Slurm wakes it with the signal to end.
halt() {
    local number pid
    until number=$(job $second RUNNING) && [ -n "$number" ] &&
        grep -qs 'threads$' "$logs/seed1.log"; do
        sleep 0.2
    done
    for pid in $(ours); do
        if grep -zxqF "SLURM_JOB_ID=$number" "/proc/$pid/environ" &&
            grep -zq '/\.snakemake/scripts/' "/proc/$pid/cmdline"; then
            kill -STOP "$pid" && touch "$work/halted"
        fi
    done 2>/dev/null
}
timed_out_halted() { timed_out && [ -e "$work/halted" ]; }
disturb() {
    local node cancelled waiting
    node=$(hostname -s)
    halt &
    until_true "DC's first job computes" "$patience" computes
    sleep 2
    cancelled=$(job $first RUNNING)
    [ -n "$cancelled" ] ||
        fail "DC's first job was over within 2 s: raise its iterations in study.yaml"
    say "draining the node and cancelling job $cancelled in the middle"
    scontrol update nodename="$node" state=drain reason="tests/slurm"
    scancel "$cancelled"
    until_true "the node is drained and jobs wait" "$patience" drained
    waiting=$(count PENDING)
    sleep 5
    kill -0 "$run_pid" 2>/dev/null || fail "the run did not outlive the drained node"
    drained || fail "jobs ran on a drained node"
    say "the node is drained, $waiting jobs wait; bringing it back"
    scontrol update nodename="$node" state=resume
    until_true "DC's second job, halted, runs past its minute" "$patience" timed_out_halted
    say "job $(job $second TIMEOUT) was stopped at its time limit"
}
if [ "$config" = study.yaml ]; then disturb; else patience=5400; fi

end=$((SECONDS + patience))
while kill -0 "$run_pid" 2>/dev/null; do
    jobs >>"$work/history"
    [ "$SECONDS" -lt "$end" ] || fail "the cluster run does not end"
    sleep 1
done
wait "$run_pid" || fail "the cluster run failed"
run_pid=''
say "the cluster run is over"
wait "$local_pid" || fail "the run without a cluster failed: $(tail -n 3 "$work/local.log")"
local_pid=''

# ---- what must have come of it -------------------------------------------------------------------

sort -u "$work/history" >"$work/history.sorted"
asked() { # the time limits and memory that a job with a comment had in a state
    awk -F'|' -v state="$2" -v comment="$1" '$2 == state && $5 == comment {print $3, $4}' \
        "$work/history.sorted" | sort -u | paste -sd, -
}
check_disturbed() {
    local seed line timeouts completed
    for seed in 0 1; do
        line=$(grep 'resuming from the checkpoint' "$logs/seed$seed.log") ||
            fail "DC's seed $seed did not resume from its checkpoint"
        say "seed $seed: ${line#* }"
    done
    # Each attempt asks for twice the time and the memory of the one before. On a busy machine the
    # second may not be the last.
    timeouts=$(asked $second TIMEOUT) completed=$(asked $second COMPLETED)
    case "$timeouts then $completed" in
    "1:00 1000M then 2:00 2000M") ;;
    "1:00 1000M,2:00 2000M then 4:00 4000M") ;;
    "1:00 1000M,2:00 2000M,4:00 4000M then 8:00 8000M") ;;
    *) fail "unexpected time limits and memory: $timeouts, then $completed" ;;
    esac
    say "time limit and memory of seed 1: $timeouts, then $completed"
}
if [ "$config" = study.yaml ]; then check_disturbed; fi

# Everything but what holds times: costs, their digests, the page that shows them, logs and
# benchmarks.
results() (
    cd "$work/$1" && find results -type f ! -path '*/logs/*' ! -path '*/benchmarks/*' \
        ! -name cost.json ! -name costs.json ! -name SHA256SUMS ! -name report.html | sort
)
results local >"$work/local.files"
results cluster >"$work/cluster.files"
diff "$work/local.files" "$work/cluster.files" ||
    fail "the two runs left other files (< without a cluster, > on it)"
while IFS= read -r file; do
    cmp "$work/local/$file" "$work/cluster/$file" ||
        fail "$file differs between the run on the cluster and the one without"
done <"$work/local.files"
sets=$(grep -c '/synthetic.safetensors$' "$work/local.files")
wanted=3
if [ "$config" != study.yaml ]; then wanted=10; fi
[ "$sets" = "$wanted" ] || fail "$sets synthetic sets instead of $wanted"
if grep '/checkpoints/' "$work/cluster.files"; then fail "checkpoints were left behind"; fi
[ -s "$(find "$work/cluster/results" -name report.html)" ] || fail "there is no report"

seconds() { sed -n 's/^Elapsed time: //p' "$1" | tail -n 1; }
say "passed: $(wc -l <"$work/local.files") files have the same bytes," \
    "$sets synthetic sets among them;" \
    "$(cut -d'|' -f1 "$work/history.sorted" | sort -u | wc -l) Slurm jobs;" \
    "$(seconds "$work/cluster.log") on the cluster, $(seconds "$work/local.log") without"
