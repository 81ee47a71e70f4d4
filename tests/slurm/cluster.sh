#!/usr/bin/env bash
# A real Slurm of one node on this machine, for tests only: `cluster.sh up FOLDER` and `cluster.sh down FOLDER`. Everything but the two files
# in /etc/slurm lies in FOLDER: SLURM_CONF would not reach the jobs, so those two must be where Slurm looks for them.
set -euo pipefail

action=$1 folder=$2
etc=/etc/slurm
mark="# Made by Distillery's tests/slurm"

up() {
    mkdir -p "$folder"/{state,spool,run,log}
    # Not world-readable folders are refused by neither daemon, but munged refuses a socket below a folder that others cannot enter.
    chmod 755 "$folder" "$folder/run"
    local node cores memory
    node=$(hostname -s) cores=$(nproc)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)

    if ! pgrep -x munged >/dev/null; then
        [ -s /etc/munge/munge.key ] || { mkdir -p /etc/munge && dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none; }
        mkdir -p /run/munge /var/log/munge /var/lib/munge
        chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge
        chmod 400 /etc/munge/munge.key
        runuser -u munge -- munged
        touch "$folder/run/munged.ours"
    fi

    mkdir -p "$etc"
    cat >"$etc/slurm.conf" <<CONF
$mark
ClusterName=distillery
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
MinJobAge=300
# Seconds between the request to stop (SIGTERM) and the end (SIGKILL), and how often time limits are looked at.
KillWait=30
OverTimeLimit=0
SchedulerParameters=sched_interval=2,batch_sched_delay=0
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
    for _ in $(seq 50); do
        [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && return
        sleep 0.2
    done
    echo "error: Slurm did not come up; its logs:" >&2
    tail -n 20 "$folder"/log/*.log >&2
    return 1
}

down() {
    local daemon pid
    for daemon in slurmd slurmctld; do
        pid=$(cat "$folder/run/$daemon.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    done
    if [ -e "$folder/run/munged.ours" ]; then pkill -x munged || true; fi
    for file in slurm.conf gres.conf; do
        grep -qsxF "$mark" "$etc/$file" && rm -f "${etc:?}/$file"
    done
    return 0
}

"$action"
