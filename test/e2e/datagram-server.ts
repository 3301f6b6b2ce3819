/** A server of UNIX datagrams that is not ours, in Perl. */

import { startLive } from './live-vnic.ts';

/** A line of hexadecimal for each datagram; the first line says that it listens. */
const SERVER = `
use Socket; $| = 1;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
my $name = $ARGV[0]; $name =~ s/^@/\\0/;
bind($s, pack('S', AF_UNIX) . $name) or die $!;
print "ready\\n";
while (defined recv($s, my $data, 65536, 0)) { print unpack('H*', $data), "\\n"; last if $data eq 'END=1'; }
`;

/** A server under way. */
export interface DatagramServer {
  /** What came until now. */
  received(): string[];
  /** Resolves when a datagram has that text in it. */
  until(text: string): Promise<void>;
  /** Waits for the datagram `END=1`, which ends it; what came. */
  end(): Promise<string[]>;
}

/** Listens at a path, or at an abstract name that begins with `@`. To be ended by `endLive` if a test fails. */
export async function startDatagramServer(path: string): Promise<DatagramServer> {
  const live = startLive(['perl', '-e', SERVER, path]);
  await live.until(/ready\n/);
  const received = (): string[] => {
    const lines = live.output.stdout.split('\n').slice(1);
    return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'hex').toString());
  };
  return {
    received,
    until: (text) => live.until(new RegExp(Buffer.from(text).toString('hex'))),
    end: async () => {
      await live.end();
      return received();
    },
  };
}
