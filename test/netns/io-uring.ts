/** Whether this run is the one without io_uring, which `npm test -- without-io-uring` makes. */
export const ioUringForbidden: boolean = process.env['VNIC_TEST_IO_URING'] === 'forbidden';
