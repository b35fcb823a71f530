import { type Browser, launch, type Page } from 'puppeteer-core'
import { findProgram } from './service.ts'

const program = ['chromium', 'chromium-browser', 'google-chrome']
  .map((name) => findProgram(name))
  .find(Boolean)

/** Why there is no browser here, for `skip`; false where there is. */
export const chromiumMissing =
  program === undefined && 'Chromium is not installed: apt-get install --no-install-recommends chromium'

/** A browser of the machine, with a page that notes what goes wrong on it and where it asks. */
export class WatchedPage implements AsyncDisposable {
  readonly page: Page
  /** Errors of scripts and of the console, and requests that failed. */
  readonly faults: string[] = []
  /** Origins that were asked. */
  readonly origins = new Set<string>()
  readonly #browser: Browser

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser
    this.page = page
    page.on('pageerror', (error) => this.faults.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') this.faults.push(message.text())
    })
    page.on('requestfailed', (request) => this.faults.push(`${request.url()} failed`))
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) this.origins.add(new URL(request.url()).origin)
    })
  }

  static async open(): Promise<WatchedPage> {
    const browser = await launch({
      executablePath: program!,
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    })
    return new WatchedPage(browser, await browser.newPage())
  }

  /** The rows of a table by its id, cell by cell, without the heading. */
  async table(id: string): Promise<string[][]> {
    return this.page.$$eval(`#${id} tr`, (lines) =>
      lines.flatMap((line) => {
        const cells = [...line.querySelectorAll('td')].map(({ textContent }) => textContent ?? '')
        return cells.length > 0 ? [cells] : []
      }),
    )
  }

  /** Waits until a text is on the page. */
  async shows(text: string): Promise<void> {
    await this.page.waitForFunction(`document.body.innerText.includes(${JSON.stringify(text)})`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}
