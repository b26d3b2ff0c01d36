// The backend of the site without a server: the models' ONNX files run in this browser.

import { type Backend, BackendError } from './backend'

export function openModels(): Promise<Backend> {
  throw new BackendError('This page was built without a model that runs in the browser.')
}
