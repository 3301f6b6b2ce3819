/**
 * The unit of systemd(1): what the service may do is what it needs, and no more.
 *
 * Not there, and why: MemoryDenyWriteExecute, since V8 writes the machine code that it then runs; another user than root,
 * since the journals belong to root, who without capabilities is a user like others; PrivateDevices, which hides
 * /dev/net/tun; ProtectProc, since whether a network namespace is still in use is seen in /proc; PrivateNetwork and
 * PrivateUsers, which would take away what it is for. Type=notify and not notify-reload, which systemd has since version 253.
 */

import { runArguments, type ServiceFileOptions, type ServiceNeeds } from './service-files.ts';

/** The text of `vnic.service`. */
export function systemdUnit(options: ServiceFileOptions): string {
  const { config, needs } = options;
  const sections: readonly (readonly [string, readonly string[]])[] = [
    [
      'Unit',
      [
        `Description=Virtual network interfaces of ${escaped(config)}`,
        `ConditionPathExists=${escaped(config)}`,
        'Wants=network.target modprobe@tun.service',
        'After=network-pre.target systemd-sysctl.service modprobe@tun.service',
        'Before=network.target',
      ],
    ],
    [
      'Service',
      [
        ...process(options),
        ...limits(options),
        ...(needs.namespaces ? [...capabilities(needs), ...namespaceRights] : fileRights(options)),
      ],
    ],
    ['Install', ['WantedBy=multi-user.target']],
  ];
  return sections.map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n');
}

function process(options: ServiceFileOptions): string[] {
  return [
    'Type=notify',
    'NotifyAccess=main',
    'SyslogIdentifier=vnic',
    `ExecStart=${runArguments(options).map(quoted).join(' ')}`,
    'ExecReload=/bin/sh -c "kill -HUP $MAINPID"',
    // To the rest of the control group too, SIGTERM would end the systemctl that is asked whether this is a restart.
    'KillMode=mixed',
    'Restart=on-failure',
    // Five starts in ten seconds would be the last.
    'RestartSec=5',
    // A wrong file and missing rights do not mend themselves.
    'RestartPreventExitStatus=2 77',
    'WatchdogSec=60',
    'RuntimeDirectory=vnic',
    'RuntimeDirectoryMode=0755',
    // The journals outlive the service: they say what is to be undone.
    'RuntimeDirectoryPreserve=yes',
    'UMask=0022',
  ];
}

/** Of every profile: these make no mount namespace. */
function limits({ needs }: ServiceFileOptions): readonly string[] {
  return [
    'NoNewPrivileges=yes',
    // Links are carried by sockets.
    `RestrictAddressFamilies=AF_NETLINK AF_UNIX${needs.sockets ? ' AF_INET AF_INET6' : ''}${needs.packets ? ' AF_PACKET' : ''}`,
    ...(needs.sockets ? [] : ['IPAddressDeny=any']),
    'DevicePolicy=closed',
    'DeviceAllow=/dev/net/tun rw',
    ...(needs.lines ?? []).map((line) => `DeviceAllow=${quoted(line)} rw`),
    'SystemCallArchitectures=native',
    'SystemCallErrorNumber=EPERM',
    'LockPersonality=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'KeyringMode=private',
  ];
}

function capabilities({ namespaces, lowPorts, packets }: ServiceNeeds): string[] {
  const names = [
    'CAP_NET_ADMIN',
    ...(namespaces ? ['CAP_SYS_ADMIN'] : []),
    ...(lowPorts ? ['CAP_NET_BIND_SERVICE'] : []),
    ...(packets ? ['CAP_NET_RAW'] : []),
  ];
  return [`CapabilityBoundingSet=${names.join(' ')}`, `AmbientCapabilities=${names.join(' ')}`];
}

/** Files as the service sees them. */
function fileRights({ command, needs }: ServiceFileOptions): string[] {
  const isBelow = (...folders: readonly string[]): boolean =>
    [...command, ...(needs.paths ?? [])].some((word) => folders.some((folder) => word.startsWith(`${folder}/`)));
  return [
    ...capabilities(needs),
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @resources',
    'RestrictNamespaces=yes',
    'ProtectSystem=strict',
    ...(needs.folders ?? []).map((folder) => `ReadWritePaths=-${quoted(folder)}`),
    // Where vnic itself lies there, or a socket of a link, it must be reachable.
    `ProtectHome=${isBelow('/home', '/root', '/run/user') ? 'read-only' : 'yes'}`,
    `PrivateTmp=${isBelow('/tmp', '/var/tmp') ? 'no' : 'yes'}`,
    'PrivateMounts=yes',
    // The file has kernel settings.
    `ProtectKernelTunables=${needs.sysctls ? 'no' : 'yes'}`,
    'ProtectKernelModules=yes',
    'ProtectKernelLogs=yes',
    'ProtectControlGroups=yes',
    'ProtectClock=yes',
    'ProtectHostname=yes',
  ];
}

/** A namespace is given its name by a mount, which must be seen by all: nothing that has mounts of its own. */
const namespaceRights: readonly string[] = [
  'SystemCallFilter=@system-service mount umount2 setns unshare',
  'RestrictNamespaces=net',
];

/** systemd.service(5), "Command lines": specifiers, variables, quotes. */
function quoted(word: string): string {
  const text = escaped(word).replaceAll('$', '$$$$');
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** `%` begins a specifier. */
function escaped(text: string): string {
  return text.replaceAll('%', '%%');
}
