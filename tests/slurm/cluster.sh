#!/usr/bin/env bash
# A real Slurm of one node on this machine, for tests only:
#   cluster.sh up FOLDER      write the configuration, start the daemons, wait for an idle node
#   cluster.sh down FOLDER    end the jobs and the daemons, remove the configuration
# State, spool, logs and the key lie in FOLDER. The two configuration files must be where Slurm
# looks by itself: SLURM_CONF does not reach the jobs.
set -euo pipefail

action=$1 folder=$2
etc=/etc/slurm
mark="# Made by tests/slurm/cluster.sh of Distillery"

up() {
    local node cores memory
    node=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    mkdir -p "$folder"/{state,spool,run,log} "$etc"

    # A munge of its own, with a key and a socket of its own: one that this machine runs is neither
    # used nor disturbed.
    (umask 077 && dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none)
    munged --key-file="$folder/munge.key" --seed-file="$folder/state/munge.seed" \
        --socket="$folder/run/munge.socket" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/log/munged.log"

    # Without accounting and control groups, as nothing of either is to be had in a container.
    # KillWait is how long a job has between the request to stop (SIGTERM, at its time limit or by
    # scancel) and its end (SIGKILL). MessageTimeout: a busy machine answers late.
    cat >"$etc/slurm.conf" <<CONF
$mark
ClusterName=distillery
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
MessageTimeout=60
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
MinJobAge=300
KillWait=30
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
    printf '%s\nNodeName=%s Name=gpu File=/dev/null\n' "$mark" "$node" >"$etc/gres.conf"

    slurmctld
    slurmd
    local end=$((SECONDS + 60))
    until [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "error: Slurm did not come up; the ends of its logs:" >&2
            tail -n 15 "$folder"/log/*.log >&2
            return 1
        fi
        sleep 0.2
    done
}

end_daemon() { # its name: asked first, and killed where it does not listen
    local pid signal
    pid=$(cat "$folder/run/$1.pid" 2>/dev/null) || return 0
    for signal in TERM KILL; do
        # Only as long as the number still is that daemon's.
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || return 0
        kill "-$signal" "$pid" || return 0
        for _ in $(seq 75); do
            if ! kill -0 "$pid" 2>/dev/null; then return; fi
            sleep 0.2
        done
    done
}

down() {
    # Only a configuration that `up` wrote speaks of a cluster whose every job is ours to end.
    if grep -qsxF "$mark" "$etc/slurm.conf"; then
        # `timeout`: where the controller does not answer, nothing is waited for.
        timeout 60 squeue --noheader --format=%i 2>/dev/null | xargs -r timeout 60 scancel || true
        local end=$((SECONDS + 45))
        while [ "$SECONDS" -lt "$end" ] &&
            [ -n "$(timeout 10 squeue --noheader 2>/dev/null)" ]; do sleep 0.2; done
        end_daemon slurmd
        end_daemon slurmctld
        rm -f "$etc/slurm.conf" "$etc/gres.conf"
        rmdir "$etc" 2>/dev/null || true # packages keep files in it
    fi
    end_daemon munged
}

case $action in
up | down) "$action" ;;
*) echo "usage: cluster.sh up|down FOLDER" >&2 && exit 2 ;;
esac
