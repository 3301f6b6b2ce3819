/** The init script for machines without systemd: header and exit codes of LSB 5, plain sh, no program but coreutils. */

import { runArguments, type ServiceFileOptions } from './service-files.ts';

/** Where the init script keeps the process id. */
export const INIT_PID_FILE: string = '/run/vnic.pid';
/** There from a start to a stop; one without a process is that of a service which was killed. */
export const INIT_LOCK_FILE: string = '/run/lock/vnic';
/** What the service says where there is no journal. */
export const INIT_LOG_FILE: string = '/var/log/vnic.log';

/** The text of `/etc/init.d/vnic`. */
export function initScript(options: ServiceFileOptions): string {
  const [program = ''] = options.command;
  return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          vnic
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Should-Start:      $syslog
# Should-Stop:       $syslog
# X-Start-Before:    $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Virtual network interfaces
# Description:       Makes the devices of a configuration file and keeps them.
### END INIT INFO

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PROGRAM=${quoted(program)}
CONFIG=${quoted(options.config)}
PIDFILE=${INIT_PID_FILE}
LOCKFILE=${INIT_LOCK_FILE}
LOGFILE=${INIT_LOG_FILE}
# Tenths of a second.
PATIENCE=600

# Whether process $1 is a vnic; its number may be another's by now.
alive() {
	tr '\\0' '\\n' 2> /dev/null < "/proc/$1/cmdline" | grep -qx run
} 2> /dev/null

running() {
	[ -s "$PIDFILE" ] || return 1
	pid=$(cat "$PIDFILE")
	alive "$pid"
}

start() {
	if running; then
		echo 'vnic is running'
		return 0
	fi
	[ -x "$PROGRAM" ] || { echo "$PROGRAM is not installed" >&2; return 5; }
	[ -f "$CONFIG" ] || { echo "$CONFIG is missing" >&2; return 6; }
	rm -f "$PIDFILE"
	mkdir -p "\${LOCKFILE%/*}" "\${LOGFILE%/*}"
	setsid ${runArguments(options).map(quoted).join(' ')} --pid-file "$PIDFILE" < /dev/null >> "$LOGFILE" 2>&1 &
	child=$!
	waited=0
	# The pid file comes once everything is in force.
	until [ -s "$PIDFILE" ]; do
		if ! kill -0 "$child" 2> /dev/null || [ "$waited" -ge "$PATIENCE" ]; then
			kill "$child" 2> /dev/null
			echo "vnic did not start; the last words of $LOGFILE:" >&2
			tail -n 3 "$LOGFILE" >&2
			return 1
		fi
		sleep 0.1
		waited=$((waited + 1))
	done
	: > "$LOCKFILE"
	echo 'vnic started'
}

# $1: the signal that ends it
stop() {
	if running; then
		kill -s "$1" "$pid"
		waited=0
		while alive "$pid"; do
			if [ "$waited" -ge "$PATIENCE" ]; then
				echo 'vnic does not stop; it is killed' >&2
				kill -s KILL "$pid"
				break
			fi
			sleep 0.1
			waited=$((waited + 1))
		done
		echo 'vnic stopped'
	else
		echo 'vnic is not running'
	fi
	rm -f "$PIDFILE" "$LOCKFILE"
}

reload() {
	running || { echo 'vnic is not running' >&2; return 7; }
	kill -s HUP "$pid"
}

case "$1" in
start) start ;;
stop) stop TERM ;;
# Devices stay, and connections through them.
restart) stop USR1 && start ;;
try-restart) if running; then stop USR1 && start; fi ;;
reload) reload ;;
force-reload) if running; then reload; else start; fi ;;
status) exec ${options.command.map(quoted).join(' ')} service status --file "$CONFIG" ;;
*)
	echo "usage: $0 start|stop|restart|try-restart|reload|force-reload|status" >&2
	exit 2
	;;
esac
`;
}

/** For sh(1). */
function quoted(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
