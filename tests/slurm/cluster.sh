#!/usr/bin/env bash
# A real Slurm of one node on this machine, for tests only:
#   cluster.sh up FOLDER      write the configuration, start the daemons, wait until the node is idle
#   cluster.sh down FOLDER    end the jobs and the daemons, remove the configuration
# State, spool and logs lie in FOLDER. The two configuration files must be where Slurm looks by itself: SLURM_CONF does not reach the jobs.
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

    # Where packages start their services munged runs already; it is then left as it is.
    if ! pgrep -x munged >/dev/null; then
        if [ ! -s /etc/munge/munge.key ]; then
            dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
        fi
        mkdir -p /run/munge
        chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge
        chmod 400 /etc/munge/munge.key
        runuser -u munge -- munged
        touch "$folder/munged-is-ours"
    fi

    # Without accounting and control groups, as nothing of either is to be had in a container. KillWait is how long a job has between the
    # request to stop (SIGTERM, at its time limit or by scancel) and its end (SIGKILL).
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
    for _ in $(seq 75); do
        if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then return; fi
        sleep 0.2
    done
    echo "error: Slurm did not come up; the ends of its logs:" >&2
    tail -n 15 "$folder"/log/*.log >&2
    return 1
}

gone() { # wait until a process has ended
    for _ in $(seq 75); do
        if ! kill -0 "$1" 2>/dev/null; then return; fi
        sleep 0.2
    done
}

down() {
    # Only a configuration that `up` wrote speaks of a cluster whose every job is ours to end.
    if grep -qsxF "$mark" "$etc/slurm.conf"; then
        squeue --noheader --format=%i 2>/dev/null | xargs -r scancel || true
        for _ in $(seq 200); do
            if [ -z "$(squeue --noheader 2>/dev/null)" ]; then break; fi
            sleep 0.2
        done
        local name pid
        for name in slurmd slurmctld; do
            if pid=$(cat "$folder/run/$name.pid" 2>/dev/null); then
                kill "$pid" 2>/dev/null || true
                gone "$pid"
            fi
        done
        rm -f "$etc/slurm.conf" "$etc/gres.conf"
    fi
    if [ -e "$folder/munged-is-ours" ] && pid=$(cat /run/munge/munged.pid 2>/dev/null); then
        kill "$pid" 2>/dev/null || true
        gone "$pid"
    fi
}

case $action in
up | down) "$action" ;;
*) echo "usage: cluster.sh up|down FOLDER" >&2 && exit 2 ;;
esac
