import { describe, expect, it } from 'vitest';

import { jobsOf } from './restart-job.ts';

describe('jobsOf', () => {
  it('reads the jobs of a unit from what systemctl prints', () => {
    const text = '120 vnic.service restart running\n121 other.service stop waiting\n';
    expect(jobsOf(text, 'vnic.service')).toEqual(['restart']);
    expect(jobsOf('', 'vnic.service')).toEqual([]);
  });
});
