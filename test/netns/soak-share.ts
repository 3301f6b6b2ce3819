/** How much of their time soaking tests take: 1, or less in a run that is one of several (`scripts/test-nodes.mjs`). */
export const soakShare: number = Number(process.env['VNIC_TEST_SOAK_SHARE'] ?? 1);
