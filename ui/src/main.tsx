import './design/font.css';
import './design/tokens.css';
import './design/base.css';
import './design/components.css';
import './shell/shell.css';
import { render } from 'preact';
import { watchPageWidth } from './design/page-width.ts';
import { watchSystemTheme } from './design/theme.ts';
import { language, tagOf } from './i18n/language.ts';
import { startClock } from './live/store.ts';
import { startRouter } from './router.ts';
import { takeTicket, watchTickets, whoIsThere } from './session.ts';
import { App } from './shell/app.tsx';

// Before anything else: a ticket in the address bar is taken out of it at once.
const ticket = takeTicket();
document.documentElement.lang = tagOf(language.peek());
watchSystemTheme();
watchPageWidth();
startClock();
watchTickets();
startRouter();
render(<App />, document.getElementById('app')!);
void whoIsThere(ticket);
