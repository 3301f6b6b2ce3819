/** Import direction, lower layers to higher ones only. ARCHITECTURE.md says why. */

/** What each folder of src/ may import, besides itself. */
const layers = {
  base: [],
  wire: ['base'],
  link: ['base', 'wire'],
  framing: ['base', 'link'],
  native: ['base'],
  crypto: ['base', 'native'],
  identity: ['base', 'native'],
  secure: ['base', 'link', 'identity'],
  netns: ['base', 'native'],
  netlink: ['base', 'native', 'netns'],
  tun: ['base', 'wire', 'link', 'native', 'netns', 'netlink'],
  queues: ['base', 'link', 'native', 'netlink', 'tun'],
  transport: ['base', 'link', 'framing', 'native', 'netns', 'netlink', 'crypto'],
  host: ['base', 'wire', 'link'],
  netdev: ['base', 'netns', 'netlink', 'tun', 'native', 'crypto'],
  changes: ['base', 'netns', 'netlink', 'tun'],
  journal: ['base', 'native', 'netlink', 'changes'],
  config: ['base', 'netlink'],
  state: ['base', 'netns', 'netlink', 'netdev', 'changes', 'journal', 'config'],
  diagnosis: ['base', 'netns', 'netlink', 'tun', 'netdev'],
  service: ['base', 'native', 'netns', 'netlink', 'changes', 'journal', 'config', 'state'],
  ends: ['base', 'link', 'framing', 'netlink', 'tun', 'transport', 'host', 'netdev', 'identity', 'secure'],
  testing: ['base', 'wire', 'link', 'host', 'crypto'],
  cli: [
    'base',
    'wire',
    'link',
    'native',
    'netns',
    'netlink',
    'tun',
    'transport',
    'host',
    'netdev',
    'changes',
    'journal',
    'config',
    'state',
    'service',
    'diagnosis',
    'ends',
    'framing',
    'testing',
    'crypto',
    'identity',
    'secure',
  ],
};

const tests = '\\.test\\.ts$';

/** Also true of a test, which may look inside its own folder and below. */
const layerRules = Object.entries(layers).map(([folder, allowed]) => ({
  name: `layer-${folder}`,
  comment: `src/${folder} may import ${allowed.length === 0 ? 'no other folder' : allowed.join(', ')}`,
  severity: 'error',
  from: { path: `^src/${folder}/`, pathNot: tests },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'known-folder',
      comment: 'a new folder of src/ needs its layer in this file',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(layers).join('|')})/` },
      to: {},
    },
    {
      name: 'index-below-cli',
      comment: 'the library does not know the command',
      severity: 'error',
      from: { path: '^src/index\\.ts$' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'through-index',
      comment: 'another folder is imported through its index.ts',
      severity: 'error',
      from: { path: '^src/([^/]+)/', pathNot: tests },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'pure',
      comment: 'base, wire and host also run in a browser and in virtual time',
      severity: 'error',
      from: { path: '^src/(base|wire|host)/', pathNot: tests },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'commander-in-cli',
      comment: 'the library has no runtime dependency but the YAML reader of configuration files',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/cli/', tests] },
      to: {
        dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'],
        pathNot: 'node_modules/yaml/',
      },
    },
    {
      name: 'yaml-in-config',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/config/', tests] },
      to: { path: 'node_modules/yaml/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Types count: a layer that knows the types of a higher one knows the higher one.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
