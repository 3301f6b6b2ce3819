import { describe, expect, it } from 'vitest';

import { echoRequest, expectEchoReply } from '../../testing/index.ts';
import { joinEnds, type OpenEnd, openEnd, parseEnd } from '../index.ts';

const open = (text: string, medium: 'ip' | 'ethernet' = 'ip'): Promise<OpenEnd> =>
  openEnd(parseEnd(text), { medium, once: false });

describe('pair', () => {
  it('joins two ends of a name, and gives what the first has written before', async () => {
    const a = await open('pair:x');
    a.link.write(Uint8Array.of(0x45, 1));
    const b = await open('pair:x,mtu=9000');
    expect(b.link.mtu).toBe(1500);
    expect([...((await b.link.read()) ?? [])]).toEqual([Uint8Array.of(0x45, 1)]);
    b.link.write(Uint8Array.of(0x45, 2));
    expect([...((await a.link.read()) ?? [])]).toEqual([Uint8Array.of(0x45, 2)]);
    await expect(open('pair:x')).rejects.toMatchObject({ code: 'VNIC_DEVICE_BUSY' });
    await b.close();
    await expect(a.link.read()).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    await a.close();
  });

  it('frees its name with the first that is closed', async () => {
    const a = await open('pair:y');
    await a.close();
    await a.close();
    const c = await open('pair:y', 'ethernet');
    await expect(open('pair:y')).rejects.toMatchObject({ code: 'VNIC_MEDIUM_MISMATCH' });
    const d = await open('pair:y', 'ethernet');
    await c.close();
    // The other knows by now, or will; the name is free at once.
    const e = await open('pair:y');
    await Promise.all([d.close(), e.close()]);
  });

  it('joins two links of one process', async () => {
    await using left = await joinEnds('pair:outer', 'pair:middle');
    await using right = await joinEnds('pair:middle', 'echo:10.0.0.2');
    expect([left.medium, right.medium]).toEqual(['ip', 'ip']);
    const end = await open('pair:outer');
    const request = echoRequest({ source: '10.0.0.1', destination: '10.0.0.2' });
    end.link.write(request);
    const [reply] = [...((await end.link.read()) ?? [])];
    expectEchoReply(request, reply as Uint8Array);
    await end.close();
    await left.done.catch(() => undefined);
  });
});
