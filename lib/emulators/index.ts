export type { Answer } from './answer.ts'
export {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from './certificates.ts'
export { Emulator, type EmulatorEvents, type EmulatorOptions, type RecordedRequest } from './emulator.ts'
export type { Fault } from './fault.ts'
export { HecEmulator, type HecEmulatorOptions, type HecEvent } from './hec.ts'
export type { TokenAuthority } from './token-authority.ts'
